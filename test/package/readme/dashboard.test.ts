import { expect, test } from '@jest/globals';
import { existsSync, readFileSync, statSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { AccessControl } from '../../../lib/dashboard/access-control.js';
import {
  type DashboardDecision,
  resolveDashboardOptions,
} from '../../../lib/dashboard/dashboard.options.js';
import { code, root, table } from './readme.js';

test('the options of the dashboard in README.md are all that there are, with their defaults', () => {
  const rows = table('### A dashboard');
  const authorize = (): boolean => true;
  const known = Object.keys(resolveDashboardOptions({ authorize })).sort();
  expect(rows.map(({ option }) => code(option) ?? '').sort()).toEqual(known);
  const defaults = rows.flatMap((row) => {
    const value = code(row['default']);
    return value === undefined ? [] : [[code(row['option']), value.replaceAll("'", '')]];
  });
  expect(Object.fromEntries(defaults)).toEqual(
    Object.fromEntries(
      Object.entries(resolveDashboardOptions({})).map(([name, value]) => [name, `${value}`]),
    ),
  );
});

test('the answers of `authorize` in README.md do what it says', async () => {
  const [act, view, none, detailed, ...others] = table('### A dashboard', 1);
  expect(others).toEqual([]);
  const may = async (decision: unknown): Promise<string> => {
    const authorize = (): DashboardDecision => decision as DashboardDecision;
    const access = new AccessControl({ authorize }, { error: () => undefined });
    const request = { headers: {} } as IncomingMessage;
    return access.admit(request).then(
      (visitor) => visitor.access,
      ({ statusCode }: { statusCode: number }) => `${statusCode}`,
    );
  };
  const answersOf = (row = {}): unknown[] =>
    [...(Object.values<string>(row)[0] ?? '').matchAll(/`([^`]+)`/g)].map(([, text = '']) =>
      text.startsWith("'") ? text.slice(1, -1) : JSON.parse(text),
    );
  expect(answersOf(act)).toEqual([true, 'act']);
  for (const answer of answersOf(act)) expect(await may(answer)).toBe('act');
  for (const answer of answersOf(view)) expect(await may(answer)).toBe('view');
  for (const answer of answersOf(none)) expect(await may(answer)).toBe('403');
  expect(code(detailed?.['answer'])).toBe('{ access, user?, challenge? }');
  expect(await may({ access: 'none', challenge: 'Basic' })).toBe('401');
});

test('the pictures in README.md are there, small, and made by a script of this package', () => {
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  const pictures = [...readme.matchAll(/docs\/[\w-]+\.png/g)].map(([path]) => path);
  expect(pictures).toHaveLength(3);
  for (const path of pictures) expect(statSync(join(root, path)).size).toBeLessThan(200_000);
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
  };
  const script = /node (\S+)$/.exec(scripts['screenshots'] ?? '')?.[1] ?? '';
  expect(existsSync(join(root, script))).toBe(true);
});
