/** One server-sent event. */
export interface ServerEvent {
  id: string | undefined;
  data: string;
}

/** The events of a response as they come; comments are left out. `onBytes` hears of every piece, comments included. */
export async function* serverEvents(
  response: Response,
  onBytes: (bytes: number) => void | Promise<void> = () => {},
): AsyncGenerator<ServerEvent> {
  if (response.body === null) throw new Error('a stream without a body');
  const decoder = new TextDecoder();
  let rest = '';
  for await (const piece of response.body) {
    await onBytes(piece.byteLength);
    const blocks = (rest + decoder.decode(piece, { stream: true })).split('\n\n');
    rest = blocks.pop() ?? '';
    for (const block of blocks) {
      const event = readBlock(block);
      if (event !== undefined) yield event;
    }
  }
}

function readBlock(block: string): ServerEvent | undefined {
  const lines = block.split('\n');
  const data = lines.filter((line) => line.startsWith('data: ')).map((line) => line.slice('data: '.length));
  const id = lines.find((line) => line.startsWith('id: '))?.slice('id: '.length);
  return data.length === 0 ? undefined : { id, data: data.join('\n') };
}
