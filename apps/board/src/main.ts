import { boardConfig, boardTable, ConfigError, describeConfig } from '@shoal/config';
import { openHealth, openRegistry } from '@shoal/queue';
import { createLogger, toggleLevelOnSignal } from '@shoal/telemetry';
import { buildBoard } from './board-server.ts';
import { fleetPage } from './fleet-page.ts';
import { ModelQueues } from './model-queues.ts';

/** The production process: settings from the environment, one server, a graceful end. */
async function main(): Promise<void> {
  const config = boardConfig();
  const logger = createLogger({ name: 'board', level: config.logLevel });
  toggleLevelOnSignal(logger);
  logger.info({ settings: describeConfig(boardTable, config) }, 'starting');
  const { redisUrl, queuePrefix: prefix } = config;
  const health = openHealth({ redisUrl });
  const registry = openRegistry({ redisUrl, prefix });
  const board = await buildBoard({
    config,
    ping: () => health.ping(),
    fleetPage: () => fleetPage(registry),
    logger,
  });
  health.ping().catch((error: Error) => logger.warn(`not ready: ${error.message}`));
  const onQueue = board.addQueue;
  const { boardReadOnly: readOnly, boardApiUrl: apiUrl } = config;
  const queues = new ModelQueues({ redisUrl, prefix, readOnly, apiUrl, registry, onQueue, logger });

  let closing = false;
  const close = async (): Promise<void> => {
    if (closing) return;
    closing = true;
    board.app.server.closeAllConnections();
    await board.app.close();
    await queues.close();
    registry.close();
    health.close();
    process.exit(0);
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void close());

  const listenTextResolver = (address: string): string => `listening on ${address}`;
  await board.app.listen({ host: config.boardHost, port: config.boardPort, listenTextResolver });
  await queues.start();
}

/** One clear line (or one per setting) that says what to do. */
function startFailure(error: unknown): string {
  if (error instanceof ConfigError) return error.message;
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'EADDRINUSE')
    return 'BOARD_PORT is in use by another process; stop it, or set BOARD_PORT to another one';
  if (code === 'EACCES') return 'BOARD_PORT may not be opened by this user; set BOARD_PORT to one above 1023';
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') return 'BOARD_HOST is not an address of this machine';
  return `the board did not start: ${message}`;
}

main().catch((error: unknown) => {
  process.stderr.write(`${startFailure(error)}\n`);
  process.exit(1);
});
