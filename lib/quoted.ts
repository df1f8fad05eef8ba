/** Control characters, and those that hide, split or turn round what stands beside them: a name must not steer a terminal. */
export const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** The text in quotes, on one line, whatever it contains: keys may be made from what somebody sent. */
export function quoted(text: string): string {
  return printableJson(text);
}

/** As JSON that a terminal shows as it is. */
export function printableJson(value: unknown, space?: number): string {
  return JSON.stringify(value, null, space).replace(UNPRINTABLE, escaped);
}

/** As escapes of JSON; the line feeds that it is laid out with stay. */
function escaped(sign: string): string {
  if (sign === '\n') return sign;
  const hex = (code: number): string => code.toString(16).padStart(4, '0');
  return Array.from({ length: sign.length }, (_, i) => `\\u${hex(sign.charCodeAt(i))}`).join('');
}
