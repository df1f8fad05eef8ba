import { HttpProblem } from './http-problem.js';

/** Something that answers requests of one method on one path. */
export interface Route<Method extends string = string> {
  method: Method;
  /** `/v1/semaphores/{key}`: a name in braces stands for one segment, URL-encoded. */
  path: string;
}

export interface Match<R> {
  route: R;
  /** Decoded. */
  params: Record<string, string>;
}

interface Pattern<R> {
  segments: string[];
  byMethod: Map<string, R>;
}

/** Finds the route of a request. Knows nothing of what a route does. */
export class Router<R extends Route> {
  private readonly patterns = new Map<string, Pattern<R>>();

  constructor(routes: Iterable<R>) {
    for (const route of routes) {
      const pattern = this.patterns.get(route.path) ?? {
        segments: route.path.split('/').slice(1),
        byMethod: new Map<string, R>(),
      };
      pattern.byMethod.set(route.method, route);
      this.patterns.set(route.path, pattern);
    }
  }

  /**
   * HEAD is served by GET.
   * @param path as it came, without the query
   * @returns undefined when no route has such a path
   * @throws {HttpProblem} 400 a malformed escape, 405 another method would do
   */
  find(method: string, path: string): Match<R> | undefined {
    const segments = path.split('/').slice(1);
    for (const pattern of this.patterns.values()) {
      const encoded = matchSegments(pattern.segments, segments);
      if (encoded === undefined) continue;
      const route = pattern.byMethod.get(method === 'HEAD' ? 'GET' : method);
      if (route === undefined) throw methodNotAllowed(method, [...pattern.byMethod.keys()]);
      return { route, params: decode(encoded) };
    }
    return undefined;
  }
}

function matchSegments(
  pattern: readonly string[],
  segments: readonly string[],
): [string, string][] | undefined {
  if (pattern.length !== segments.length) return undefined;
  const params: [string, string][] = [];
  for (const [index, wanted] of pattern.entries()) {
    const segment = segments[index] as string;
    if (wanted.startsWith('{')) params.push([wanted.slice(1, -1), segment]);
    else if (wanted !== segment) return undefined;
  }
  return params;
}

function decode(encoded: readonly [string, string][]): Record<string, string> {
  const entries = encoded.map(([name, text]): [string, string] => {
    try {
      return [name, decodeURIComponent(text)];
    } catch {
      throw new HttpProblem(400, 'INVALID_PATH', `\`${name}\` in the path is not URL-encoded`);
    }
  });
  return Object.fromEntries(entries);
}

function methodNotAllowed(method: string, allowed: readonly string[]): HttpProblem {
  return new HttpProblem(
    405,
    'METHOD_NOT_ALLOWED',
    `${method} is not possible here: use ${allowed.join(' or ')}`,
    { headers: { allow: allowed.join(', ') } },
  );
}
