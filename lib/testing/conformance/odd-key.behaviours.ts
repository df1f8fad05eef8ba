import assert from 'node:assert/strict';
import type { Behaviours, Scene } from './scene.js';

const ODD_KEYS: Record<string, (tag: string) => string> = {
  'with spaces': (tag) => ` a  b ${tag} `,
  'with quotes': (tag) => `"it's"\`${tag}\``,
  'with braces': (tag) => `{a}{b}:{${tag}}`,
  'that begins with a closing brace': (tag) => `}a{${tag}`,
  'that begins with empty braces': (tag) => `{}{x}${tag}`,
  'with an open brace only': (tag) => `{${tag}`,
  'with line breaks': (tag) => `a\r\nb\n${tag}\n`,
  'with the line breaks of Unicode': (tag) => `a\u2028b\u2029${tag}\u0085`,
  'with a NUL': (tag) => `a\0b${tag}\0`,
  'with emoji': (tag) => `👩‍👩‍👧 ü ${tag} 🔒`,
  'with percent signs': (tag) => `%s%d%%${tag}%`,
  'with the characters of globs': (tag) => `*?[a]\\^${tag}-]`,
  'with colons and the like': (tag) => `:a::${tag}:q@~!,;|/#`,
  'that reads like a property of every object': (tag) => `__proto__${tag}`,
  'of 512 bytes': (tag) => tag.padEnd(512, 'x'),
  'of 512 bytes in wide characters': (tag) => `${tag}x${'漢'.repeat(166)}`,
};

/** The life of a semaphore, with every operation. */
async function live({ join, tag }: Scene, key: string): Promise<void> {
  const [one, other] = [join(), join()];
  const first = await one.hold(key, { label: key.slice(0, 20) });
  const second = await other.wait(key);
  const third = await other.wait(key);
  assert.equal((await one.session.inspect(key)).key, key);
  assert.deepEqual(await one.keys(`*${tag}*`), [key]);
  assert.equal(await one.session.release(key, first.id, 0), 'released');
  const grant = await other.grant(second);
  assert.ok(grant.fencingToken > first.grant.fencingToken);
  assert.ok((await other.session.renew(key, second, 60_000)) !== null);
  assert.equal(await one.session.forceRelease(key, second), true);
  await Promise.all([other.revocation(second), other.grant(third)]);
  await one.session.setPermits(key, 2);
  assert.deepEqual(await one.change(), { key, permits: 2, previous: 1, pinned: true });
  await other.session.cancel(key, third);
  await one.session.setPermits(key, null);
  assert.deepEqual(await one.keys(`*${tag}*`), []);
}

export const oddKeyBehaviours: Behaviours = {
  ...Object.fromEntries(
    Object.entries(ODD_KEYS).map(([what, name]) => [
      `serves a key ${what}`,
      (scene: Scene) => live(scene, name(scene.tag)),
    ]),
  ),

  'keeps keys apart that differ in their odd characters only': async ({ tag, join }) => {
    const peer = join();
    const keys = [
      ...[tag, `${tag} `, ` ${tag}`, `${tag}\n`, `${tag}\0`, `{${tag}}`, `}${tag}`, `{}${tag}`],
      ...[`{${tag}`, `${tag}}`, `{{${tag}}}`, `%7B${tag}%7D`, `%${tag}`, `"${tag}"`, `\\${tag}`],
      ...[`a${tag}`, `A${tag}`, `é${tag}`, `e\u0301${tag}`],
    ];
    for (const key of keys) await peer.hold(key);
    assert.deepEqual(await peer.keys(`*${tag}*`), keys.toSorted());
  },
};
