/** What microservices and gateways answer with, by the class of an error. Their packages are optional. */
const PACKAGES = new Map<string, () => Promise<object>>([
  ['RpcException', () => import('@nestjs/microservices')],
  ['GrpcException', () => import('@nestjs/microservices')],
  ['WsException', () => import('@nestjs/websockets')],
]);

/** The name of its class, in any copy of those packages, or of the one that a class of the application extends. */
export function transportClassOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('getError' in error)) return undefined;
  let proto = Object.getPrototypeOf(error) as object | null;
  while (proto !== null) {
    const { name } = proto.constructor;
    if (PACKAGES.has(name)) return name;
    proto = Object.getPrototypeOf(proto) as object | null;
  }
  return undefined;
}

/** Makes what another process threw such an error again, unless its package is not installed here. Never rejects. */
export async function asTransportException(error: Error, name: string): Promise<Error> {
  try {
    const classes = (await PACKAGES.get(name)?.()) as Record<string, { prototype: object }>;
    return Object.setPrototypeOf(error, classes[name]!.prototype) as Error;
  } catch {
    return error;
  }
}
