/**
 * Warnings: told to the process, unless their category was silenced (reference: "urllib3.disable_warnings").
 */
import { HTTPWarning } from './exceptions.js';

/** A class of warnings: silencing one silences those that extend it. */
export type WarningCategory = abstract new (message?: string) => HTTPWarning;

const silenced = new Set<WarningCategory>();

/**
 * Silences warnings of a category, for the rest of the process.
 *
 * @param category - HTTPWarning, the default, is all of them
 * @see Reference, "urllib3.disable_warnings"
 */
export function disableWarnings(category: WarningCategory = HTTPWarning): void {
  silenced.add(category);
}

/** Emits a warning as a process warning, whose type is the name of its class. */
export function warn(warning: HTTPWarning): void {
  for (const category of silenced) if (warning instanceof category) return;
  process.emitWarning(warning);
}
