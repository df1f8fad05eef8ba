import { giveFocusBack, h, setText } from './dom.js';

const TOAST_MS = 6_000;
let toastTimer;

/**
 * Asks before something is done, and shows what became of it.
 * @param question `{ title, subject, text: string[], fields?, confirm, act, done, isDangerous?, other? }`; `subject` is the
 * key that it is about; `other` is a second way, `{ confirm, hint, act, done }`
 * @param tell gets a sentence once it is done, or when it failed after the dialog was closed
 */
export function confirm(question, tell) {
  const { title, subject, text, fields, isDangerous = false, other } = question;
  const problem = h('p', { class: 'problem', role: 'alert' });
  const buttons = h('div', { class: 'buttons' });
  const form = h(
    'form',
    { method: 'dialog' },
    h('h2', { id: 'dialog-title' }, title),
    h('p', { class: 'key subject', id: 'dialog-subject' }, subject),
    h('div', { id: 'dialog-text' }, ...text.map((sentence) => h('p', {}, sentence))),
    fields,
    other && h('p', { class: 'hint' }, other.hint),
    problem,
    buttons,
  );
  const names = { 'aria-labelledby': 'dialog-title dialog-subject' };
  const dialog = h('dialog', { ...names, 'aria-describedby': 'dialog-text' }, form);

  const run = async ({ act, done, confirm: what }) => {
    const pressed = document.activeElement;
    for (const button of buttons.children) button.disabled = true;
    setText(problem, '');
    try {
      await act();
      dialog.close();
      tell(typeof done === 'function' ? done() : done);
    } catch (error) {
      if (!dialog.open) tell(`${what}: ${error.message}`);
      setText(problem, error.message);
      for (const button of buttons.children) button.disabled = false;
      pressed.focus();
    }
  };

  const cancel = h('button', { type: 'button', onclick: () => dialog.close() }, 'Cancel');
  const style = `primary${isDangerous ? ' is-danger' : ''}`;
  buttons.append(cancel);
  if (other) {
    const click = () => void run(other);
    buttons.append(h('button', { type: 'button', onclick: click }, other.confirm));
  }
  buttons.append(h('button', { type: 'submit', class: style }, question.confirm));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    void run(question);
  });
  const opener = document.activeElement;
  dialog.addEventListener('close', () => {
    dialog.remove();
    // What it was opened from may be gone by now.
    if (!opener.isConnected) giveFocusBack(opener);
  });
  document.body.append(dialog);
  dialog.showModal();
  if (isDangerous) cancel.focus();
  return dialog;
}

/** Tells for a moment what was done. */
export function toast(text) {
  const element = document.getElementById('toast');
  setText(element, text);
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => setText(element, ''), TOAST_MS);
}
