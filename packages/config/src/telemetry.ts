import { choice, decimal, optional, text, url } from './kinds.ts';
import type { SettingsTable } from './setting.ts';

/** What API and workers tell of themselves. The names that begin with OTEL are OpenTelemetry's own. */
export interface TelemetryConfig {
  metrics: 'on' | 'off';
  logSample: number;
  otlpEndpoint: string | undefined;
  otlpHeaders: string | undefined;
  traceSample: number;
}

export const telemetrySettings: SettingsTable<TelemetryConfig> = {
  metrics: {
    ...choice(['on', 'off']),
    env: 'METRICS',
    default: 'on',
    doc: '`off` measures nothing: `/metrics` answers 404.',
  },
  logSample: {
    ...decimal(0, 1),
    env: 'LOG_SAMPLE',
    default: 1,
    doc: 'Share of requests that get their log line (`info`), chosen by job id, so that API and worker log the same ones. Failures for reasons of ours are always logged.',
  },
  otlpEndpoint: {
    ...optional(url(['http', 'https'])),
    env: 'OTEL_EXPORTER_OTLP_ENDPOINT',
    default: undefined,
    defaultText: 'none: nothing is traced',
    doc: 'OpenTelemetry collector that takes traces over OTLP/HTTP (JSON), such as `http://collector:4318`; `/v1/traces` is added.',
  },
  otlpHeaders: {
    ...optional(
      text(/^[^\p{Cc}=,]+=[^\p{Cc},]*(,[^\p{Cc}=,]+=[^\p{Cc},]*)*$/u, 'name=value pairs, separated by commas'),
    ),
    env: 'OTEL_EXPORTER_OTLP_HEADERS',
    default: undefined,
    defaultText: 'none',
    secret: true,
    doc: 'Headers for the collector, such as `authorization=Bearer%20…`; values are URL-encoded.',
  },
  traceSample: {
    ...decimal(0, 1),
    env: 'OTEL_TRACES_SAMPLER_ARG',
    default: 1,
    doc: 'Share of the traces begun here that are recorded. Where a caller brings a trace, its decision holds.',
  },
};
