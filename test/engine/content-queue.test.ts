import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { ContentQueue } from '../../src/engine/content-queue.js';
import { HTTPError } from '../../src/exceptions.js';

function queue() {
  const flow = { pause: vi.fn(), resume: vi.fn(), waitBegan: vi.fn(), waitEnded: vi.fn(), abandon: vi.fn() };
  return { flow, content: new ContentQueue(flow) };
}

function give(content: ContentQueue, text: string): void {
  const lent = Buffer.from(`<${text}>`);
  content.take(lent, 1, lent.length - 1);
  // The link uses its buffer again at once.
  lent.fill('#');
}

const KIB_64 = Buffer.alloc(65_536, 'x');

describe('ContentQueue', () => {
  test('gives every byte once and in order, whatever the pieces, the reads and their turns', async () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('take' as const), text: fc.string({ minLength: 1, maxLength: 20 }) }),
      fc.record({ kind: fc.constant('read' as const), most: fc.integer({ min: 1, max: 10 }) }),
      fc.record({ kind: fc.constant('into' as const), most: fc.integer({ min: 1, max: 10 }) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const { content } = queue();
        const given: string[] = [];
        const read: Buffer[] = [];
        let pending: Promise<unknown> = Promise.resolve();
        for (const step of steps) {
          if (step.kind === 'take') {
            given.push(step.text);
            give(content, step.text);
            await pending;
          } else if (step.kind === 'read') {
            await Promise.race([pending, null]);
            pending = content.read(step.most).then(
              (piece) => void (piece !== null && read.push(piece)),
              () => {},
            );
          } else {
            const target = Buffer.alloc(step.most);
            pending = content.readInto(target).then(
              (count) => void read.push(target.subarray(0, count)),
              () => {},
            );
          }
        }
        content.finish();
        await pending;
        for (let piece = await content.read(7); piece !== null; piece = await content.read(7)) read.push(piece);
        expect(Buffer.concat(read).toString()).toBe(given.join(''));
      }),
    );
  });

  test('read() and readInto() wait, and get the very next bytes', async () => {
    const { content, flow } = queue();
    const piece = content.read(2);
    expect(flow.waitBegan).toHaveBeenCalledOnce();
    give(content, 'abc');
    expect(flow.waitEnded).toHaveBeenCalledOnce();
    expect((await piece)?.toString()).toBe('ab');
    const target = Buffer.alloc(4);
    expect(await content.readInto(target)).toBe(1);
    const count = content.readInto(target);
    give(content, 'defghi');
    expect(await count).toBe(4);
    expect(target.toString()).toBe('defg');
    expect(await content.readInto(new Uint8Array(0))).toBe(0);
  });

  test('refuses a second read while one waits', async () => {
    const { content } = queue();
    const first = content.read(9);
    await expect(content.read(9)).rejects.toThrow(HTTPError);
    await expect(content.readInto(Buffer.alloc(1))).rejects.toThrow('another read of this response is still waiting');
    give(content, 'a');
    expect((await first)?.toString()).toBe('a');
  });

  test('ends a waiting read at the end', async () => {
    const reading = queue();
    const piece = reading.content.read(9);
    reading.content.finish();
    expect(await piece).toBeNull();
    const filling = queue();
    const count = filling.content.readInto(Buffer.alloc(1));
    filling.content.finish();
    expect(await count).toBe(0);
    expect(await filling.content.readInto(Buffer.alloc(1))).toBe(0);
    expect(filling.content.isExhausted).toBe(true);
  });

  test('gives what came before a failure, then the failure, to each read', async () => {
    const { content } = queue();
    const error = new Error('cut');
    give(content, 'ab');
    content.fail(error);
    expect(content.isExhausted).toBe(false);
    expect((await content.read(9))?.toString()).toBe('ab');
    await expect(content.read(9)).rejects.toBe(error);
    await expect(content.readInto(Buffer.alloc(1))).rejects.toBe(error);
    const waiting = queue();
    const read = waiting.content.read(1);
    waiting.content.fail(error);
    await expect(read).rejects.toBe(error);
  });

  test('pauses the flow at 256 KiB and resumes it at 64 KiB', async () => {
    const { content, flow } = queue();
    for (let count = 0; count < 3; count++) content.take(KIB_64, 0, KIB_64.length);
    expect(flow.pause).not.toHaveBeenCalled();
    for (let count = 0; count < 2; count++) content.take(KIB_64, 0, KIB_64.length);
    expect(flow.pause).toHaveBeenCalledOnce();
    for (let count = 0; count < 3; count++) await content.read(65_536);
    expect(flow.resume).not.toHaveBeenCalled();
    await content.read(65_536);
    expect(flow.resume).toHaveBeenCalledOnce();
  });

  test('pauses the flow too when what is queued are very many tiny pieces', () => {
    const { content, flow } = queue();
    for (let count = 0; count < 4_096; count++) content.take(KIB_64, 0, 1);
    expect(flow.pause).toHaveBeenCalledOnce();
  });

  test('resumes the flow at the end, for it is the next exchange that has it then', () => {
    const { content, flow } = queue();
    for (let count = 0; count < 4; count++) content.take(KIB_64, 0, KIB_64.length);
    content.finish();
    expect(flow.resume).toHaveBeenCalledOnce();
    content.abandon();
    expect(flow.resume).toHaveBeenCalledOnce();
  });

  test('abandon() drops everything, ends a waiting read, and tells the flow once', async () => {
    const { content, flow } = queue();
    give(content, 'abc');
    content.abandon();
    content.abandon();
    expect(flow.abandon).toHaveBeenCalledOnce();
    expect(content.isExhausted).toBe(true);
    give(content, 'late');
    expect(await content.read(9)).toBeNull();
    const ended = queue();
    ended.content.finish();
    ended.content.abandon();
    expect(ended.flow.abandon).not.toHaveBeenCalled();
  });

  test('is read in linear time when it holds many pieces', async () => {
    const { content } = queue();
    for (let count = 0; count < 200_000; count++) content.take(KIB_64, 0, 1);
    let read = 0;
    for (; read < 200_000; read++) await content.read(9);
    expect(read).toBe(200_000);
  });
});
