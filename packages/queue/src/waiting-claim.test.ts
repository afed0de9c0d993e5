import { createHash } from 'node:crypto';
import { beforeEach, describe, expect, inject, it } from 'vitest';
import { type Connect, connector } from './connection.ts';
import { CALL, TAKE_BACK } from './lua/call.ts';
import { SUSPECT_SCORE } from './lua/suspects.ts';
import { decodeCall } from './step-codec.ts';
import { complete, consumerRig, fast, ids } from './testing/consumer-rig.ts';
import { Gate } from './testing/gate.ts';
import { hearing } from './testing/hearing.ts';
import { sampleRequest } from './testing/requests.ts';
import { openTcpProxy } from './testing/tcp-proxy.ts';
import { eventually } from './testing/waiting.ts';

const redisUrl = inject('redisUrl');

/** Nobody looks by itself for as long as a test lasts, and no lock lapses. */
const patient = { stalledIntervalMs: 60_000, lockDurationMs: 120_000 };
const sha1 = (text: string): string => createHash('sha1').update(text).digest('hex');
/** Less than it takes an idle worker to look by itself. */
const SOON_MS = 6_000;

describe('a claim that waits behind a call', () => {
  const rig = consumerRig(redisUrl);
  const { start, submit, status, bulk, listeners } = rig;

  // Where Redis does not know the script yet, its text comes behind the first call.
  beforeEach(async () => {
    await rig.redis.script('LOAD', CALL.text);
  });

  const allListen = (count: number): Promise<unknown> =>
    eventually(`${count} listen`, async () => (await listeners(rig.prefix)) === count);
  const isTakenBack = (): Promise<unknown> =>
    eventually('it is taken back', async () => (await rig.redis.keys(`${rig.keys.own}left:*`)).length === 1);
  const suspicions = (jobIds: string[]): Promise<unknown[]> =>
    Promise.all(jobIds.map((id) => rig.redis.hget(`${rig.keys.bull}${id}`, 'shoal:suspect')));

  it('brings a job without a round trip between the call and it', async () => {
    const replies = new Gate();
    replies.open();
    const { jobs } = start({ ...patient, connect: hearing(redisUrl, 'commands', 'evalsha', replies) });
    await allListen(1);
    replies.shut();
    await submit('a');
    await eventually('the job', () => jobs.length === 1, SOON_MS);
    replies.open();
  });

  it('leaves what it did not bring to the steps that follow, and is there for the next call', async () => {
    const { jobs } = start({ ...patient, capacity: 16 }, complete);
    await allListen(1);
    await bulk(ids(12));
    await eventually('all', () => jobs.length === 12, SOON_MS);
    await allListen(1);
    await submit('another');
    await eventually('the next', () => jobs.length === 13, SOON_MS);
  });

  it('brings a share of what waits while others are idle, and asks for no more than that', async () => {
    const { bull, own } = rig.keys;
    const call = async (worker: string): Promise<[number, boolean]> => {
      const reply = await CALL.run(rig.redis, bull, [bull, own, `${worker}:1`, 5_000, worker, 4, 16]);
      const { claims, more } = decodeCall(reply);
      return [claims.length, more];
    };
    await rig.redis.zadd(`${own}idle`, Date.now() + 60_000, 'another');
    await bulk(ids(6));
    expect(await call('first')).toEqual([3, false]);
    // Whoever is called next is called for the rest.
    expect(await rig.redis.zscore(`${bull}marker`, '0')).toBe('0');
    await bulk(ids(20).slice(6));
    expect(await call('second')).toEqual([4, true]);
  });

  it('passes the call on when its worker was paused meanwhile', async () => {
    const paused = start(patient);
    await allListen(1);
    const other = start(patient);
    await allListen(2);
    paused.consumer.pause();
    await isTakenBack();
    await submit('a');
    await eventually('the other has it', () => other.jobs.length === 1, SOON_MS);
    expect(paused.jobs).toHaveLength(0);
  });

  it.each([
    ['hands back what it brings', () => submit('a')],
    // Without a priority: no claim behind a call takes it.
    ['passes on a call that brings nothing', () => rig.bull.add('generate', sampleRequest(), { jobId: 'a' })],
  ])('%s to a worker that can take nothing any more', async (_, add) => {
    let alive = true;
    const hung = start({ ...patient, alive: () => alive });
    await allListen(1);
    const other = start(patient);
    await allListen(2);
    alive = false;
    await add();
    await eventually('the other has it', () => other.jobs.length === 1, SOON_MS);
    expect(hung.jobs).toHaveLength(0);
  });

  it('brings no more than a worker has room for that was made smaller meanwhile', async () => {
    let most = 0;
    const { jobs, consumer } = start({ ...patient, capacity: 4 }, (job) => {
      most = Math.max(most, consumer.held);
      setImmediate(() => complete(job));
    });
    await allListen(1);
    consumer.resize(1);
    await isTakenBack();
    await bulk(ids(3));
    await eventually('all', () => jobs.length === 3, SOON_MS);
    expect(most).toBe(1);
  });

  it('loses nothing when the connection breaks behind it', async () => {
    const proxy = await openTcpProxy(redisUrl);
    const connect: Connect = (role, name) => connector(role === 'calls' ? proxy.url : redisUrl)(role, name);
    const { jobs } = start({ ...patient, connect });
    await allListen(1);
    proxy.vanish();
    await submit('a');
    await eventually('it is claimed', async () => (await status('a')) === 'running');
    expect(jobs).toHaveLength(0);
    await proxy.down();
    // No lock lapses meanwhile: whoever claimed it has it.
    await eventually('the job', () => jobs.length === 1, SOON_MS);
    await proxy.close();
  });

  it('loses nothing that it gives after Redis had refused to take it back', async () => {
    const connect: Connect = (role, name) => {
      const connection = connector(redisUrl)(role, name);
      if (role !== 'commands') return connection;
      const send = connection.evalsha.bind(connection) as (sha: string, ...args: unknown[]) => Promise<unknown>;
      const refusing = async (sha: string, ...args: unknown[]): Promise<unknown> => {
        if (sha === sha1(TAKE_BACK.text)) throw new Error('ERR refused');
        return await send(sha, ...args);
      };
      return Object.assign(connection, { evalsha: refusing });
    };
    const { jobs, consumer } = start({ ...patient, connect });
    await allListen(1);
    consumer.resize(7);
    await submit('a');
    await eventually('the job', () => jobs.length === 1, SOON_MS);
  });

  it('takes few jobs with a worker that is frozen while it waits, and they come back without suspicion', async () => {
    const proxy = await openTcpProxy(redisUrl);
    const frozen = start({ ...fast, capacity: 16, connect: connector(proxy.url) });
    await allListen(1);
    proxy.vanish();
    await bulk(ids(12));
    const redelivered = async (): Promise<number> => {
      const tries = await Promise.all(ids(12).map((id) => rig.redis.hget(`${rig.keys.bull}${id}`, 'ats')));
      return tries.filter((count) => Number(count) > 1).length;
    };
    // However slow the machine is, what the heir claims is claimed once.
    const { jobs } = start({ ...fast, lockDurationMs: 120_000, capacity: 16 });
    await eventually('all of them', () => jobs.length === 12, SOON_MS);
    expect(await redelivered()).toBe(4);
    expect(await suspicions(ids(12))).toEqual(ids(12).map(() => null));
    expect(frozen.jobs).toHaveLength(0);
    await rig.deadly(frozen);
    await proxy.close();
  });

  it('brings nothing while suspects wait, whose turn a step decides', async () => {
    await bulk(ids(3));
    await rig.redis.zadd(`${rig.keys.bull}prioritized`, SUSPECT_SCORE, 'job-2');
    const { bull, own } = rig.keys;
    const reply = await CALL.run(rig.redis, bull, [bull, own, 'w:1', 5_000, 'w', 4, 8]);
    expect(decodeCall(reply)).toEqual({ claims: [], more: true });
    expect(await status('job-0')).toBe('queued');
  });
});
