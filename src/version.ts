/** The version of the package, as User-Agent says it; a test holds it equal to package.json. */
export const VERSION = '0.1.0';
