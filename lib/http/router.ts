import { HttpProblem, unreadable } from './http-problem.js';

/** Something that answers requests of one method on one path. */
export interface Route<Method extends string = string> {
  method: Method;
  /** `/v1/semaphores/{key}`: a name in braces stands for one segment, URL-encoded. */
  path: string;
  /** HEAD is not served: GET begins something that lasts. */
  noHead?: boolean;
}

export interface Match<R> {
  route: R;
  /** Decoded. */
  params: Record<string, string>;
}

/** What may follow one segment of a path. */
class Branch<R> {
  readonly byText = new Map<string, Branch<R>>();
  /** Where any text may stand. */
  param: { name: string; branch: Branch<R> } | undefined;
  /** Routes that end here. */
  readonly byMethod = new Map<string, R>();
}

/** Finds the route of a request. Knows nothing of what a route does. */
export class Router<R extends Route> {
  private readonly root = new Branch<R>();

  constructor(routes: Iterable<R>) {
    for (const route of routes) {
      let branch = this.root;
      for (const segment of route.path.split('/').slice(1)) branch = grow(branch, segment);
      branch.byMethod.set(route.method, route);
    }
  }

  /**
   * HEAD is served by GET, unless the route says otherwise. Where a segment is the text of some route, it is no parameter
   * of another one.
   * @param path as it came, without the query
   * @returns undefined when no route has such a path
   * @throws {HttpProblem} 400 a malformed escape, 405 another method would do
   */
  find(method: string, path: string): Match<R> | undefined {
    let branch = this.root;
    const params: Record<string, string> = {};
    for (let start = 1, end = 0; end < path.length; start = end + 1) {
      const slash = path.indexOf('/', start);
      end = slash === -1 ? path.length : slash;
      const segment = path.slice(start, end);
      const next = branch.byText.get(segment);
      if (next !== undefined) branch = next;
      else if (branch.param === undefined) return undefined;
      else {
        params[branch.param.name] = segment;
        branch = branch.param.branch;
      }
    }
    if (branch.byMethod.size === 0) return undefined;
    const route = branch.byMethod.get(method === 'HEAD' ? 'GET' : method);
    const isRefused = method === 'HEAD' && route?.noHead === true;
    if (route === undefined || isRefused)
      throw methodNotAllowed(method, [...branch.byMethod.keys()]);
    return { route, params: decode(params) };
  }
}

function grow<R>(branch: Branch<R>, segment: string): Branch<R> {
  if (segment.startsWith('{')) {
    branch.param ??= { name: segment.slice(1, -1), branch: new Branch() };
    return branch.param.branch;
  }
  const next = branch.byText.get(segment) ?? new Branch<R>();
  branch.byText.set(segment, next);
  return next;
}

function decode(params: Record<string, string>): Record<string, string> {
  for (const name in params) {
    const text = params[name] as string;
    if (!text.includes('%')) continue;
    try {
      params[name] = decodeURIComponent(text);
    } catch {
      const message = `\`${name}\` in the path is not URL-encoded`;
      throw unreadable('INVALID_PATH', message, { field: name, rule: 'URL-encoded' });
    }
  }
  return params;
}

function methodNotAllowed(method: string, allowed: readonly string[]): HttpProblem {
  return new HttpProblem(
    405,
    'METHOD_NOT_ALLOWED',
    `${method} is not possible here: use ${allowed.join(' or ')}`,
    { headers: { allow: allowed.join(', ') } },
  );
}
