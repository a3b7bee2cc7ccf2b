/**
 * The end of a CI run: what was skipped and why, then one line `N passed, N failed` over all of Vitest's JSON reports.
 * A report that is missing, or a file that could not even be loaded, counts as a failure.
 */
import { readFileSync } from 'node:fs';

let passed = 0;
let failed = 0;
for (const file of process.argv.slice(2)) {
  let report;
  try {
    report = JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    console.log(`no results: ${file.replace(/.*\//, '')}`);
    failed += 1;
    continue;
  }
  for (const { name, status, assertionResults } of report.testResults) {
    const outcomes = assertionResults.map((result) => result.status);
    passed += outcomes.filter((outcome) => outcome === 'passed').length;
    const failures = outcomes.filter((outcome) => outcome === 'failed').length;
    failed += status === 'failed' && failures === 0 ? 1 : failures;
    for (const result of assertionResults) {
      if (result.status !== 'passed' && result.status !== 'failed')
        console.log(`skipped: ${result.fullName} (${name})`);
    }
  }
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
