/** Has the dashboard open, as a page does: reads whatever its stream says, until it ends. */
process.on('disconnect', () => process.exit());

const response = await fetch(process.argv[2]);
if (!response.ok) throw new Error(`The dashboard answers ${response.status}`);
const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
let isOpen = false;
for (;;) {
  const { done, value } = await reader.read().catch(() => ({ done: true }));
  if (done) process.exit();
  if (!isOpen && value.includes('event: frame')) isOpen = process.send('open');
}
