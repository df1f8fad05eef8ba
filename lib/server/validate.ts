import type { z } from 'zod';
import type { BrokenRule } from '../http/http-problem.js';
import { invalidRequest } from './problems.js';

/**
 * What the schema makes of a part of the request.
 * @throws {HttpProblem} 400 naming the fields and the rules
 */
export function validate<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
): z.output<Schema> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw invalidRequest(result.error.issues.flatMap(toRules));
}

/** @param search the query of a URL @throws {HttpProblem} 400 a parameter is there twice */
export function toObject(search: string): Record<string, string> {
  if (search === '') return {};
  const values = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(search)) {
    if (values.has(name)) throw invalidRequest([{ field: name, rule: 'given once only' }]);
    values.set(name, value);
  }
  return Object.fromEntries(values);
}

function toRules(issue: z.core.$ZodIssue): BrokenRule[] {
  const field = issue.path.map(String).join('.') || 'body';
  if (issue.code !== 'unrecognized_keys') return [{ field, rule: issue.message }];
  return issue.keys.slice(0, 20).map((key) => ({
    field: [...issue.path, key.slice(0, 80)].map(String).join('.'),
    rule: 'left out: there is no such field',
  }));
}
