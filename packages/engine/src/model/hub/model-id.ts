/** A model on the hub: what `org/name[/folder][@revision]` says. */
export interface HubModelId {
  /** `org/name` */
  repo: string;
  /** Folder of the repository that holds the model; '' is the repository itself. */
  folder: string;
  /** Branch, tag, pull request or commit. */
  revision: string;
  /** True when the revision is a commit: what it stands for never changes. */
  pinned: boolean;
}

const SEGMENT = '[A-Za-z0-9_][A-Za-z0-9._-]{0,95}';
const ID = new RegExp(`^(${SEGMENT}/${SEGMENT})((?:/${SEGMENT})*)(?:@([A-Za-z0-9][A-Za-z0-9._/-]{0,199}))?$`);

/** Undefined where the text is no hub id, but perhaps a path. */
export function parseModelId(text: string): HubModelId | undefined {
  const match = ID.exec(text);
  const [, repo = '', folder = '', revision = 'main'] = match ?? [];
  // The cache's folder names join the parts by `--`; `..` would lead elsewhere.
  if (match === null || /\.\.|--/.test(`${repo}${folder}`) || revision.includes('..')) return undefined;
  return { repo, folder: folder.slice(1), revision, pinned: isCommit(revision) };
}

export function isCommit(revision: string): boolean {
  return /^[0-9a-f]{40}$/.test(revision);
}
