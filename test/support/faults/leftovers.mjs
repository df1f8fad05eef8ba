/** Not ours, or not about single acquisitions. */
const OTHERS = new Set([
  'clock',
  'cluster',
  'commands',
  'connector',
  'context',
  'defaults',
  'events',
  'lastError',
  'logger',
  // The options of the last call.
  'memo',
  // The names of the keys that were used last, a bounded number.
  'names',
  'options',
  'reporter',
  'samples',
  // Permits that are over leave the alarm when it rings next.
  'soon',
  'states',
  'subscriber',
]);

/** Every Map, Set and array inside of an object that is not empty, by its path. */
export function leftovers(object) {
  const found = {};
  const seen = new Set();
  const visit = (value, path) => {
    if (typeof value !== 'object' || value === null || seen.has(value)) return;
    seen.add(value);
    const size = value instanceof Map || value instanceof Set ? value.size : value.length;
    if (size > 0) found[path] = size;
    if (size !== undefined) return;
    for (const [name, part] of Object.entries(value)) {
      if (!OTHERS.has(name)) visit(part, path ? `${path}.${name}` : name);
    }
  };
  visit(object, '');
  return found;
}
