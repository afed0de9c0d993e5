import { hubAccess, type WorkerConfig } from '@shoal/config';
import { locateModel, type PullEvent } from '@shoal/engine';
import type { Logger } from '@shoal/telemetry';
import type { HealthServer } from './health-server.ts';

/** A download is heard of this often. */
const REPORT_INTERVAL_MS = 5_000;

/**
 * The directory of the configured model, downloaded as far as it is not there; log and `health` tell how far it is.
 *
 * @throws ShoalError when it cannot be had; the reason of `signal`, which calls the download off
 */
export async function locate(
  config: Readonly<WorkerConfig>,
  logger: Logger,
  health: Pick<HealthServer, 'phase' | 'download'>,
  signal: AbortSignal,
): Promise<string> {
  const log = downloadLog(logger, () => performance.now());
  const onEvent = (event: PullEvent): void => {
    tellHealth(health, event);
    log(event);
  };
  return await locateModel(config.model, { dtype: config.modelDtype, hub: hubAccess(config), onEvent, signal });
}

/** A download that has nothing to fetch is none. */
export function tellHealth(health: Pick<HealthServer, 'phase' | 'download'>, event: PullEvent): void {
  if (event.type === 'listed' && event.missingBytes > 0) {
    health.phase = 'downloading the model';
    health.download = { bytesDone: event.bytes - event.missingBytes, bytes: event.bytes };
  } else if (event.type === 'progress') {
    health.download = { bytesDone: event.bytesDone, bytes: event.bytes };
  }
}

/** @param now a clock in milliseconds */
export function downloadLog(logger: Pick<Logger, 'info' | 'warn'>, now: () => number): (event: PullEvent) => void {
  let reportedAt = Number.NEGATIVE_INFINITY;
  return (event) => {
    const { type, ...facts } = event;
    if (type === 'progress') {
      if (now() - reportedAt < REPORT_INTERVAL_MS) return;
      reportedAt = now();
      logger.info(facts, 'downloading the model');
    } else if (type === 'listed') logger.info(facts, 'the model on the hub');
    else if (type === 'waiting') logger.info(facts, 'another process downloads this file');
    else if (type === 'retry') logger.warn(facts, 'the download broke off; trying again');
    else logger.warn(event.message);
  };
}
