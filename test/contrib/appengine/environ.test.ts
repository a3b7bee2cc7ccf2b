import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  isAppengine,
  isAppengineSandbox,
  isAppengineStandard,
  isLocalAppengine,
  isProdAppengine,
  isProdAppengineMvms,
} from '../../../src/contrib/appengine/environ.js';

const VARIABLES = ['APPENGINE_RUNTIME', 'SERVER_SOFTWARE', 'GAE_VM', 'GAE_ENV', 'GAE_RUNTIME'];

beforeEach(() => {
  for (const name of VARIABLES) vi.stubEnv(name, undefined);
});
afterEach(() => void vi.unstubAllEnvs());

const LOCAL = { APPENGINE_RUNTIME: 'python27', SERVER_SOFTWARE: 'Development/2.0' };
const PRODUCTION = { APPENGINE_RUNTIME: 'python27', SERVER_SOFTWARE: 'Google App Engine/1.9.80' };

// The answers of the reference, but for the last row, where it fails.
describe.each<{ environment: Record<string, string>; answers: string }>([
  { environment: {}, answers: 'none' },
  { environment: LOCAL, answers: 'isAppengine isAppengineSandbox isLocalAppengine' },
  { environment: PRODUCTION, answers: 'isAppengine isAppengineSandbox isProdAppengine' },
  { environment: { GAE_VM: 'true' }, answers: 'isAppengine isProdAppengineMvms' },
  { environment: { GAE_VM: '1' }, answers: 'none' },
  { environment: { ...PRODUCTION, GAE_VM: 'true' }, answers: 'isAppengine isProdAppengineMvms' },
  { environment: { ...LOCAL, GAE_VM: 'true' }, answers: 'isAppengine isLocalAppengine isProdAppengineMvms' },
  { environment: { SERVER_SOFTWARE: 'Development/2.0' }, answers: 'none' },
  { environment: { SERVER_SOFTWARE: 'Google App Engine/1.9.80' }, answers: 'none' },
  { environment: { APPENGINE_RUNTIME: 'python27', SERVER_SOFTWARE: 'nginx' }, answers: 'none' },
  { environment: { GAE_ENV: 'standard', GAE_RUNTIME: 'nodejs22' }, answers: 'isAppengineStandard' },
  { environment: { GAE_ENV: 'localdev' }, answers: 'none' },
  { environment: { APPENGINE_RUNTIME: 'python27' }, answers: 'none' },
])('with $environment', ({ environment, answers }) => {
  test(`these answer true: ${answers}`, () => {
    for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value);
    const functions = {
      isAppengine,
      isAppengineSandbox,
      isLocalAppengine,
      isProdAppengine,
      isProdAppengineMvms,
      isAppengineStandard,
    };
    const yes = Object.entries(functions).flatMap(([name, answer]) => (answer() ? [name] : []));
    expect(yes.join(' ') || 'none').toBe(answers);
  });
});
