import { useState } from 'react';
import { call } from './api.js';
import { Brand } from './Brand.jsx';

export function Login({ onEnter }) {
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);

  async function submit(event) {
    event.preventDefault();
    const form = new FormData(event.target);
    setBusy(true);
    setProblem(null);
    try {
      onEnter(await call('POST', '/auth/login', Object.fromEntries(form)));
    } catch (failed) {
      setProblem(failed.message);
      setBusy(false);
    }
  }

  return (
    <main className="login">
      <form className="card" onSubmit={submit}>
        <Brand />
        <h1>Welcome back</h1>
        <p className="quiet">Your channels are still publishing.</p>
        <label>
          E-mail
          <input name="email" type="email" autoComplete="username" required autoFocus />
        </label>
        <label>
          Password
          <input name="password" type="password" autoComplete="current-password" required />
        </label>
        {problem && <p className="problem" role="alert">{problem}</p>}
        <button className="primary" disabled={busy}>{busy ? 'Logging in…' : 'Log in'}</button>
      </form>
    </main>
  );
}
