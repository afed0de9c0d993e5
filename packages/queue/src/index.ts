export type { ActivityEvent, ActivitySource } from './activity.ts';
export { type ActivityFeed, openActivityFeed } from './activity-feed.ts';
export { type ActivityPublisher, openActivityPublisher } from './activity-publisher.ts';
export { openConsumer } from './bulk-consumer.ts';
export { openCollectorConsumer } from './collector-consumer.ts';
export { redactUrl } from './connection.ts';
export type { ClaimedJob, Consumer, ConsumerFact } from './consumer.ts';
export type { ConsumerOptions } from './consumer-options.ts';
export { type JobActions, type JobActionsOptions, openJobActions } from './job-actions.ts';
export { statusOf } from './job-end.ts';
export { type ModelKeys, modelKeys } from './keys.ts';
export { type ListedModel, type ModelRegistry, openRegistry, type RegistryOptions } from './model-registry.ts';
export { type ModelQueue, openBullQueue, openHealth, openQueue, type RedisHealth } from './open-queue.ts';
export type {
  Accepted,
  JobView,
  ListedJob,
  ListOptions,
  ListPlace,
  Producer,
  QueueDepth,
  QueueState,
  SubmitOptions,
  WebhookView,
} from './producer.ts';
export { openProducer, type ProducerOptions } from './queue-producer.ts';
export type { Hearing, Replies } from './replies.ts';
export { openReplies, type RepliesOptions } from './reply-reader.ts';
export { sharingKey } from './sharing-key.ts';
export { openTenantLedger, type TenantBounds, type TenantLedger, type TenantStanding } from './tenant-ledger.ts';
export {
  openWebhookOutbox,
  type WebhookCall,
  type WebhookOutbox,
  type WebhookOutcome,
} from './webhook-outbox.ts';
