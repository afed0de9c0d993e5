import { inject } from 'vitest';
import { openCollectorConsumer } from './collector-consumer.ts';
import { consumerContract } from './testing/consumer-contract.ts';

consumerContract('collector', inject('redisUrl'), openCollectorConsumer);
