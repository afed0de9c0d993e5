import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ScaledObject } from '@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject';
import { KNOWN_NAMES } from '@shoal/config';
import { Deployment } from 'kubernetes-models/apps/v1/Deployment';
import { StatefulSet } from 'kubernetes-models/apps/v1/StatefulSet';
import { HorizontalPodAutoscaler } from 'kubernetes-models/autoscaling/v2/HorizontalPodAutoscaler';
import { NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicy';
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1/PodDisruptionBudget';
import { ConfigMap } from 'kubernetes-models/v1/ConfigMap';
import { Namespace } from 'kubernetes-models/v1/Namespace';
import { Service } from 'kubernetes-models/v1/Service';
import { beforeAll, describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { findKubectl } from '../../scripts/deployment-tools.mjs';
import { runCommand } from '../../scripts/system/bounded.mjs';
import { unknownIn } from './metric-names.ts';
import { type RelabelRule, relabelled } from './relabel.ts';

const overlays = fileURLToPath(new URL('../../infra/k8s/overlays', import.meta.url));
const scraping = fileURLToPath(new URL('../../infra/prometheus/kubernetes.yml', import.meta.url));
const FETCH_LIMIT_MS = 240_000;

/** The published schema of every kind that the manifests use. */
const SCHEMAS = {
  ConfigMap,
  Deployment,
  HorizontalPodAutoscaler,
  Namespace,
  NetworkPolicy,
  PodDisruptionBudget,
  ScaledObject,
  Service,
  StatefulSet,
} as const;

/** As much of a manifest as is looked at here. */
interface Manifest {
  apiVersion: string;
  kind: keyof typeof SCHEMAS;
  metadata: { name: string; labels?: Record<string, string> };
  data?: Record<string, string>;
  spec?: {
    replicas?: number;
    progressDeadlineSeconds?: number;
    selector?: { matchLabels?: Record<string, string> } & Record<string, unknown>;
    scaleTargetRef?: { name: string };
    triggers?: { metadata: { query: string } }[];
    template?: {
      metadata: { labels: Record<string, string>; annotations?: Record<string, string> };
      spec: PodSpec;
    };
  };
}

interface PodSpec {
  automountServiceAccountToken?: boolean;
  enableServiceLinks?: boolean;
  terminationGracePeriodSeconds?: number;
  securityContext: { runAsNonRoot?: boolean; seccompProfile?: { type: string } };
  containers: Container[];
}

interface Container {
  name: string;
  image: string;
  ports?: { containerPort: number }[];
  env?: { name: string; value?: string; valueFrom?: { secretKeyRef: { name: string; key: string } } }[];
  envFrom?: { configMapRef: { name: string } }[];
  startupProbe?: object;
  readinessProbe?: object;
  livenessProbe?: object;
  resources: { requests?: object; limits?: Record<string, string> };
  securityContext: {
    readOnlyRootFilesystem?: boolean;
    allowPrivilegeEscalation?: boolean;
    capabilities?: { drop: string[] };
  };
}

describe.each(['local', 'production'])('infra/k8s/overlays/%s', (overlay) => {
  let manifests: Manifest[] = [];

  beforeAll(async () => {
    const kubectl = await findKubectl();
    if (!kubectl) return console.warn('no kubectl can be had here: the manifests are not looked at');
    const [program = '', ...args] = kubectl;
    const { code, output } = await runCommand(program, [...args, 'kustomize', `${overlays}/${overlay}`], {
      limitMs: 60_000,
    });
    expect(code, output).toBe(0);
    manifests = parseAllDocuments(output).map((document) => document.toJS() as Manifest);
  }, FETCH_LIMIT_MS);

  const workloads = () => manifests.filter(({ kind }) => kind === 'Deployment' || kind === 'StatefulSet');
  const pods = () =>
    workloads().map(({ metadata, spec }) => ({ name: metadata.name, pod: spec?.template?.spec as PodSpec }));

  it('holds what the overlay promises', ({ skip }) => {
    if (manifests.length === 0) return skip();
    const names = workloads()
      .map(({ metadata }) => metadata.name)
      .sort();
    expect(names).toEqual(
      overlay === 'local'
        ? ['shoal-api', 'shoal-board', 'shoal-redis', 'shoal-worker']
        : ['shoal-api', 'shoal-board', 'shoal-worker-minnow'],
    );
  });

  it('fits the schemas of Kubernetes and KEDA', () => {
    for (const manifest of manifests) {
      const Model = SCHEMAS[manifest.kind] as new (data: unknown) => { validate(): void };
      expect(Model, manifest.kind).toBeDefined();
      expect(() => new Model(manifest).validate(), `${manifest.kind} ${manifest.metadata.name}`).not.toThrow();
    }
  });

  it('selects pods that exist', () => {
    const labels = workloads().map(({ spec }) => spec?.template?.metadata.labels ?? {});
    for (const { kind, metadata, spec } of manifests) {
      const selector = (kind === 'Service' ? spec?.selector : spec?.selector?.matchLabels) as
        | Record<string, string>
        | undefined;
      if (!selector) continue;
      const found = labels.some((each) => Object.entries(selector).every(([key, value]) => each[key] === value));
      expect(found, `${kind} ${metadata.name}`).toBe(true);
    }
  });

  it('finds every ConfigMap, and gives the processes settings that they know', () => {
    const maps = new Map(
      manifests.filter(({ kind }) => kind === 'ConfigMap').map(({ metadata, data }) => [metadata.name, data ?? {}]),
    );
    for (const { name, pod } of pods()) {
      for (const container of pod.containers) {
        const referred = (container.envFrom ?? []).map(({ configMapRef }) => configMapRef.name);
        expect(
          referred.filter((map) => !maps.has(map)),
          name,
        ).toEqual([]);
        const settings = [
          ...(container.env ?? []).map((entry) => entry.name),
          ...referred.flatMap((map) => Object.keys(maps.get(map) ?? {})),
        ];
        expect(
          settings.filter((setting) => !KNOWN_NAMES.has(setting)),
          name,
        ).toEqual([]);
      }
    }
  });

  it('takes secrets from the Secret and from nowhere else', () => {
    const secret = ['REDIS_URL', 'API_KEYS', 'BOARD_PASSWORD'];
    for (const { name, pod } of pods()) {
      for (const entry of pod.containers.flatMap(({ env }) => env ?? [])) {
        if (!secret.includes(entry.name)) continue;
        expect(entry.valueFrom?.secretKeyRef, `${name} ${entry.name}`).toEqual({ name: 'shoal', key: entry.name });
      }
    }
    const open = manifests.flatMap(({ data }) => Object.keys(data ?? {})).filter((key) => secret.includes(key));
    expect(open).toEqual([]);
  });

  it('runs everything with as few rights as it needs, within limits, and watches it', () => {
    for (const { name, pod } of pods()) {
      expect(pod.automountServiceAccountToken, name).toBe(false);
      expect(pod.enableServiceLinks, name).toBe(false);
      expect(pod.securityContext, name).toMatchObject({
        runAsNonRoot: true,
        seccompProfile: { type: 'RuntimeDefault' },
      });
      for (const container of pod.containers) {
        expect(container.securityContext, name).toMatchObject({
          readOnlyRootFilesystem: true,
          allowPrivilegeEscalation: false,
          capabilities: { drop: ['ALL'] },
        });
        expect(container.resources.requests, name).toBeDefined();
        expect(container.resources.limits?.memory, name).toBeDefined();
        expect(container.readinessProbe, name).toBeDefined();
        expect(container.livenessProbe, name).toBeDefined();
      }
    }
  });

  it('gives a worker longer to end than it takes to drain', () => {
    const workers = pods().filter(({ name }) => name.startsWith('shoal-worker'));
    for (const { name, pod } of workers) {
      const drain = Number(pod.containers[0]?.env?.find((entry) => entry.name === 'DRAIN_TIMEOUT_MS')?.value);
      expect(drain, name).toBeGreaterThan(0);
      expect((pod.terminationGracePeriodSeconds ?? 0) * 1000, name).toBeGreaterThan(drain);
    }
  });

  it('does not kill a worker that waits for its model, nor gives up its roll-out', () => {
    for (const { metadata, spec } of workloads()) {
      if (!metadata.name.startsWith('shoal-worker')) continue;
      const [container] = spec?.template?.spec?.containers ?? [];
      for (const probe of [container?.startupProbe, container?.livenessProbe]) {
        expect(probe, metadata.name).toMatchObject({ httpGet: { path: '/health/live', port: 'metrics' } });
      }
      expect(container?.readinessProbe).toMatchObject({ httpGet: { path: '/health/ready', port: 'metrics' } });
      expect(spec?.progressDeadlineSeconds ?? 600, metadata.name).toBeGreaterThanOrEqual(3_600);
    }
  });

  it('scales what is there, by series that are exported, and leaves the number of replicas alone', () => {
    for (const { kind, metadata, spec } of manifests) {
      if (kind !== 'ScaledObject' && kind !== 'HorizontalPodAutoscaler') continue;
      const target = workloads().find((workload) => workload.metadata.name === spec?.scaleTargetRef?.name);
      expect(target, `${kind} ${metadata.name}`).toBeDefined();
      expect(target?.spec?.replicas, `${kind} ${metadata.name}`).toBeUndefined();
      for (const { metadata: trigger } of spec?.triggers ?? []) {
        expect(unknownIn(trigger.query)).toEqual([]);
        const models = manifests.flatMap(({ data }) => (data?.MODEL_NAME ? [data.MODEL_NAME] : []));
        expect(models).toContain(/model="([^"]+)"/.exec(trigger.query)?.[1]);
      }
    }
  });

  it('is scraped under the job names that the alerts ask for, each process once', ({ skip }) => {
    if (manifests.length === 0) return skip();
    const scrape = parse(readFileSync(scraping, 'utf8')) as {
      scrape_configs: { job_name: string; relabel_configs: RelabelRule[] }[];
    };
    const scraped = (phase: string) =>
      scrape.scrape_configs.flatMap(({ job_name: job, relabel_configs: rules }) =>
        workloads()
          .flatMap((workload) => discovered(workload, phase))
          .map((target) => relabelled({ ...target, job }, rules))
          .filter((target) => target !== undefined)
          .map(({ job: name, instance, __address__: address }) => `${name} ${instance} ${address}`),
      );
    const worker = overlay === 'local' ? 'shoal-worker' : 'shoal-worker-minnow';
    expect(scraped('Running').sort()).toEqual([
      'shoal-api shoal-api-0 10.0.0.1:3000',
      `shoal-worker ${worker}-0 10.0.0.1:9100`,
    ]);
    // What is over, or still pulls its image, is not down.
    expect([...scraped('Pending'), ...scraped('Failed')]).toEqual([]);
  });

  it.runIf(overlay === 'production')('gives every worker a GPU', () => {
    const workers = pods().filter(({ name }) => name.startsWith('shoal-worker'));
    for (const { name, pod } of workers) {
      expect(pod.containers[0]?.resources.limits?.['nvidia.com/gpu'], name).toBe('1');
      expect(pod.containers[0]?.image, name).toContain('shoal-worker-gpu');
      expect(pod.containers[0]?.env, name).toContainEqual({ name: 'EXECUTION_PROVIDER', value: 'cuda' });
    }
  });
});

/** What Prometheus finds of a pod, as labels: one target for each port that it names. */
function discovered({ metadata, spec }: Manifest, phase: string): Record<string, string>[] {
  const { labels = {}, annotations = {} } = spec?.template?.metadata ?? {};
  const named = (kind: string, pairs: Record<string, string>) =>
    Object.entries(pairs).map(([key, value]) => [
      `__meta_kubernetes_pod_${kind}_${key.replace(/[^a-zA-Z0-9_]/g, '_')}`,
      value,
    ]);
  const ports = (spec?.template?.spec.containers ?? []).flatMap((container) => container.ports ?? []);
  return ports.map(({ containerPort }) => ({
    ...Object.fromEntries([...named('label', labels), ...named('annotation', annotations)]),
    __meta_kubernetes_pod_name: `${metadata.name}-0`,
    __meta_kubernetes_pod_phase: phase,
    __meta_kubernetes_pod_container_port_number: String(containerPort),
    __address__: `10.0.0.1:${containerPort}`,
  }));
}
