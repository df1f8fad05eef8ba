import { parseArgs } from 'node:util';

/** As much of curl as README needs: a machine may have none. */
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    request: { type: 'string', short: 'X' },
    header: { type: 'string', short: 'H', multiple: true, default: [] },
    data: { type: 'string', short: 'd' },
  },
});

const response = await fetch(`http://${positionals[0]}`, {
  method: values.request,
  headers: values.header.map((header) => header.split(': ')),
  body: values.data,
});
process.stdout.write(await response.text());
