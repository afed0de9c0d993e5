export { type RedisClientOptions, redisClient } from './redis-client.ts';
