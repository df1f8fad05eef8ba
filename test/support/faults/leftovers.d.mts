export function leftovers(object: object): Record<string, number>;
