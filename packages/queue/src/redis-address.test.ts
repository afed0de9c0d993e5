import { Cluster, Redis } from 'ioredis';
import { afterEach, describe, expect, it } from 'vitest';
import { connectionOptions } from './connection.ts';
import { connectTo, type RedisClient } from './redis-address.ts';

describe('the address of Redis', () => {
  const opened: RedisClient[] = [];
  const open = (url: string): RedisClient => {
    const redis = connectTo(url, { ...connectionOptions('commands'), lazyConnect: true });
    opened.push(redis);
    return redis;
  };
  afterEach(() => {
    for (const redis of opened.splice(0)) redis.disconnect();
  });

  it('is one Redis', () => {
    const redis = open('rediss://user:p%40ss@host:6380/2');
    expect(redis).toBeInstanceOf(Redis);
    expect(redis.options).toMatchObject({ host: 'host', port: 6380, db: 2, username: 'user', password: 'p@ss' });
    expect(redis.options).toHaveProperty('tls');
  });

  it('is the master that Sentinels name', () => {
    const redis = open('redis://:secret@one/1?sentinel=main&node=two:26380');
    expect(redis.options).toMatchObject({
      sentinels: [
        { host: 'one', port: 26379 },
        { host: 'two', port: 26380 },
      ],
      name: 'main',
      db: 1,
      password: 'secret',
      maxRetriesPerRequest: null,
    });
  });

  it('is a Cluster', () => {
    const redis = open('redis://user:secret@one:7000?cluster=true&node=two');
    expect(redis).toBeInstanceOf(Cluster);
    expect(redis.options).toMatchObject({ redisOptions: { username: 'user', password: 'secret' } });
  });

  it('says so when it is none', () => {
    expect(() => open('not a url')).toThrow('REDIS_URL');
  });
});
