import { types } from 'node:util';

/**
 * An object literal, of this or another realm, or an object without a prototype, or with an empty one: parsers of queries,
 * cookies and route parameters make such ones.
 */
export function isPlainObject(value: object): value is Record<string, unknown> {
  const proto = Object.getPrototypeOf(value) as object | null;
  if (proto === null || proto === Object.prototype) return true;
  if (Object.getPrototypeOf(proto) !== null) return false;
  return Object.hasOwn(proto, 'hasOwnProperty') || Reflect.ownKeys(proto).length === 0;
}

export function isError(value: unknown): value is Error {
  return types.isNativeError(value) || value instanceof Error;
}

/** Whether an array has neither holes nor fields of its own. */
export function isDense(array: readonly unknown[]): boolean {
  const names = Object.keys(array);
  return names.length === array.length && (names.at(-1) ?? '-1') === String(array.length - 1);
}

const BYTES = {
  Buffer: (bytes: Buffer) => bytes,
  ArrayBuffer: copied,
  DataView: (bytes: Buffer) => new DataView(copied(bytes)),
  Int8Array: (bytes: Buffer) => new Int8Array(copied(bytes)),
  Uint8Array: (bytes: Buffer) => new Uint8Array(copied(bytes)),
  Uint8ClampedArray: (bytes: Buffer) => new Uint8ClampedArray(copied(bytes)),
  Int16Array: (bytes: Buffer) => new Int16Array(copied(bytes)),
  Uint16Array: (bytes: Buffer) => new Uint16Array(copied(bytes)),
  Int32Array: (bytes: Buffer) => new Int32Array(copied(bytes)),
  Uint32Array: (bytes: Buffer) => new Uint32Array(copied(bytes)),
  Float32Array: (bytes: Buffer) => new Float32Array(copied(bytes)),
  Float64Array: (bytes: Buffer) => new Float64Array(copied(bytes)),
  BigInt64Array: (bytes: Buffer) => new BigInt64Array(copied(bytes)),
  BigUint64Array: (bytes: Buffer) => new BigUint64Array(copied(bytes)),
};

export type BytesType = keyof typeof BYTES;

/** Nothing but bytes: a Buffer, a typed array, a DataView, an ArrayBuffer; not one that is shared between threads. */
export function isBytes(value: object): value is ArrayBufferView | ArrayBuffer {
  if (!ArrayBuffer.isView(value) && !types.isArrayBuffer(value)) return false;
  return Object.hasOwn(BYTES, bytesType(value));
}

export function bytesType(value: object): BytesType {
  return value.constructor.name as BytesType;
}

export function bytesOf(value: ArrayBufferView | ArrayBuffer): Buffer {
  return ArrayBuffer.isView(value)
    ? Buffer.from(value.buffer, value.byteOffset, value.byteLength)
    : Buffer.from(value);
}

/** @throws when there is no such type */
export function fromBytes(type: BytesType, bytes: Buffer): unknown {
  if (!Object.hasOwn(BYTES, type)) throw new TypeError(`There are no bytes of type ${type}`);
  return BYTES[type](bytes);
}

/** The bytes in a memory of their own: a small Buffer is a part of a larger one. */
function copied(bytes: Buffer): ArrayBuffer {
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
}
