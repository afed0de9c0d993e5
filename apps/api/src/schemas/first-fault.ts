import { z } from 'zod';

/** What is wrong with a value, and where inside it. */
export interface Fault {
  message: string;
  path?: PropertyKey[];
}

/**
 * A schema of one look by hand, which ends at the first fault. zod makes an issue of every bad element and key, and a
 * union keeps those of each of its forms: 16 MiB of wrong elements would take gigabytes to be refused.
 *
 * @param faultIn `undefined` for a `T`
 * @param json a `T` as JSON Schema, with what else /docs shows
 */
export function firstFault<T>(
  faultIn: (value: unknown) => Fault | undefined,
  json: Readonly<Record<string, unknown>>,
): z.ZodType<T, unknown> {
  const schema: z.ZodType = z
    .unknown()
    .check(({ value, issues }) => {
      const fault = faultIn(value);
      if (fault === undefined) return;
      const { message, path = [] } = fault;
      issues.push({ code: 'custom', input: value, message, path });
    })
    .meta(json);
  return schema as z.ZodType<T, unknown>;
}

/** The first fault among elements, with its place; `undefined` where there is none. */
export function faultAmong<T>(elements: readonly T[], faultIn: (element: T) => Fault | undefined): Fault | undefined {
  // Not by entries(): a prompt may be a million token ids.
  let index = -1;
  for (const element of elements) {
    index += 1;
    const fault = faultIn(element);
    if (fault !== undefined) return within(fault, index);
  }
  return undefined;
}

/** The fault as it is seen from what holds the value under this key. */
export function within({ message, path = [] }: Fault, key: PropertyKey): Fault {
  return { message, path: [key, ...path] };
}
