import { Burst, sendRequests } from './burst.js';
import { clear, draw } from './chart.js';

const status = document.getElementById('status');
const problem = document.getElementById('problem');
const buttons = [...document.querySelectorAll('button[data-requests]')];

for (const button of buttons) {
  button.addEventListener('click', () => void run(Number(button.dataset.requests)));
}

async function run(requests) {
  const burst = new Burst();
  const pressed = document.activeElement;
  for (const button of buttons) button.disabled = true;
  problem.hidden = true;
  status.className = 'status';
  status.textContent = `${requests} requests are on their way.`;
  clear();
  const stopDrawing = keepDrawing(burst);
  try {
    await sendRequests(requests, (event) => burst.add(event));
    sum(burst);
  } catch (error) {
    status.textContent = '';
    problem.textContent = `The burst did not end well: ${error.message}.`;
    problem.hidden = false;
  } finally {
    burst.end();
    stopDrawing();
    for (const button of buttons) button.disabled = false;
    if (document.activeElement === document.body) pressed.focus();
  }
}

function sum({ requests, finished, rejected, most, permits }) {
  const refused = rejected === 0 ? 'none rejected' : `${rejected} rejected after waiting too long`;
  status.textContent = `${finished} of ${requests.length} finished, ${refused}. Never more than ${most} at once.`;
  if (most <= permits) status.classList.add('is-good');
}

/** Until the returned function is called. */
function keepDrawing(burst) {
  let frame = requestAnimationFrame(function next() {
    if (burst.permits > 0) draw(burst);
    frame = requestAnimationFrame(next);
  });
  return () => {
    cancelAnimationFrame(frame);
    if (burst.permits > 0) draw(burst);
  };
}
