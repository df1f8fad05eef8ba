/** Of the event loop. */
export async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** Resolves when all has been done that what was just awaited has begun, as far as nothing from outside is needed for it. */
export function settled(): Promise<void> {
  return turns(20);
}
