import { useState } from 'react';
import { call } from './api.js';

export function NewChannel({ onAdded }) {
  const [problem, setProblem] = useState(null);

  async function submit(event) {
    event.preventDefault();
    const form = event.target;
    try {
      onAdded(await call('POST', '/channels', Object.fromEntries(new FormData(form))));
      form.reset();
      setProblem(null);
    } catch (failed) {
      setProblem(failed.message);
    }
  }

  return (
    <form className="new-channel" onSubmit={submit}>
      <h2>New channel</h2>
      <input name="name" placeholder="Name" aria-label="Channel name" maxLength="80" required />
      <input name="topic" placeholder="Topic (optional)" aria-label="Channel topic" maxLength="200" />
      {problem && <p className="problem" role="alert">{problem}</p>}
      <button>Create channel</button>
    </form>
  );
}
