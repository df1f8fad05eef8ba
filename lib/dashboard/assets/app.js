import { server, store } from './clock.js';
import { setText } from './dom.js';
import { Detail } from './detail.js';
import { age, moment, timeZone } from './format.js';
import { Overview } from './overview.js';
import { Stream } from './stream.js';

const TICK_MS = 500;
const STATES = { live: 'Live', down: 'Store down', lost: 'Reconnecting', paused: 'Paused' };

const byId = (id) => document.getElementById(id);
const [live, who, main, place, source] = ['live', 'who', 'main', 'view', 'source'].map(byId);
const [banner, problem, lasted] = ['banner', 'problem', 'lasted'].map(byId);

let session = { access: 'view' };
let storeDown = null;
let lost = null;
let view;

const stream = new Stream({
  onFrame(frame) {
    server.hear(frame.now);
    store.hear(frame.storeNow);
    storeDown = frame.storeDown;
    showState(storeDown ? 'down' : 'live');
    view.show(frame);
  },
  onSession(told) {
    session = told;
    showSession();
    showAllowed();
  },
  onState: showState,
});

globalThis.addEventListener('hashchange', () => open(true));
byId('skip').addEventListener('click', (event) => {
  event.preventDefault();
  main.focus();
});
setInterval(() => {
  showOutage();
  view.tick();
}, TICK_MS);
open(false);

/** The address after the # says what to show: nothing, or a key. */
function open(moveFocus) {
  const [, key] = /^#\/s\/(.+)$/.exec(location.hash) ?? [];
  view?.close();
  view = key === undefined ? new Overview(stream) : new Detail(stream, decode(key));
  showAllowed();
  place.replaceChildren(view.element);
  document.title = view.title;
  view.open();
  if (!moveFocus) return;
  scrollTo(0, 0);
  main.focus({ preventScroll: true });
}

function decode(key) {
  try {
    return decodeURIComponent(key);
  } catch {
    return key;
  }
}

function showState(state, problem) {
  lost = state === 'lost' ? { since: lost?.since ?? server.now(), ...problem } : null;
  live.dataset.state = state;
  setText(live, STATES[state]);
  showAllowed();
  showOutage();
}

/** Who is refused has nothing to look at, and nothing to press. */
function showAllowed() {
  const isRefused = lost?.isRefusal ?? false;
  place.hidden = isRefused;
  view.allow(session.access === 'act' && !isRefused);
}

function showOutage() {
  const text = outageText();
  banner.hidden = text === '';
  setText(problem, text);
  // Outside of the alert: what ticks would be read out again and again.
  const since = lost?.since ?? storeDown?.since;
  setText(lasted, text && since ? `(${age(server.now() - since)})` : '');
}

function outageText() {
  if (lost?.reason) return lost.reason;
  if (lost) {
    return `No connection to the server since ${moment(lost.since)}. Shown is what was known then.`;
  }
  if (!storeDown) return '';
  const { since, message } = storeDown;
  return `Store down since ${moment(since)}: ${message}. Shown is what was known then.`;
}

function showSession() {
  const { user, access, process } = session;
  const may = access === 'act' ? '' : 'view only';
  setText(who, [user, may].filter(Boolean).join(' · '));
  setText(
    source,
    `Holders and waiters come from the store, for all processes. Rejections, losses, rates and times are those of ` +
      `the process that serves this page (${process.host}, pid ${process.pid}), since ${moment(process.since)}. ` +
      `Times of day are in ${timeZone()}.`,
  );
}
