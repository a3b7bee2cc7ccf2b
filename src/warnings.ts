/**
 * Warnings: told to the process, unless their category was silenced (reference: "urllib3.disable_warnings").
 */
import { HTTPWarning } from './exceptions.js';
import { describe } from './excerpt.js';

/** A class of warnings: silencing one silences those that extend it. */
export type WarningCategory = abstract new (message?: string) => HTTPWarning;

const silenced = new Set<WarningCategory>();

/**
 * Silences warnings of a category, for the rest of the process.
 *
 * @param category - HTTPWarning, the default, is all of them
 * @throws TypeError, if it is no class of warnings
 * @see Reference, "urllib3.disable_warnings"
 */
export function disableWarnings(category: WarningCategory = HTTPWarning): void {
  // Looked at here, as a bad one would only show when a request wants to warn.
  if (typeof category !== 'function' || !(category === HTTPWarning || category.prototype instanceof HTTPWarning)) {
    throw new TypeError(`Cannot disable warnings of ${describe(category)}: it must be HTTPWarning or a class below it`);
  }
  silenced.add(category);
}

/** Emits a warning as a process warning, whose type is the name of its class; where there is no process, on the console. */
export function warn(warning: HTTPWarning): void {
  for (const category of silenced) if (warning instanceof category) return;
  const { process } = globalThis;
  if (typeof process === 'object' && typeof process.emitWarning === 'function') process.emitWarning(warning);
  else console.warn(`${warning.name}: ${warning.message}`);
}
