// npm run soak -- --minutes 30 --seed 7 [--lossy]
// The same seed gives the same faults in the same order. With --lossy Redis also loses its data.
import { spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    seed: { type: 'string', default: `${randomInt(1_000_000)}` },
    lossy: { type: 'boolean', default: false },
  },
});
console.log(`Soak of ${values.minutes} minutes, --seed ${values.seed}`);
const { status } = spawnSync('npm', ['run', '-s', 'jest', '--', '--selectProjects', 'soak', '-i'], {
  stdio: 'inherit',
  env: {
    ...process.env,
    SOAK_MINUTES: values.minutes,
    SOAK_SEED: values.seed,
    SOAK_LOSSY: values.lossy ? '1' : '',
  },
});
process.exitCode = status ?? 1;
