import { useCallback, useState } from 'react';
import { call } from './api.js';
import { Brand } from './Brand.jsx';
import { Channel } from './Channel.jsx';
import { Figures } from './Figures.jsx';
import { NewChannel } from './NewChannel.jsx';
import { usePolled } from './usePolled.js';

const loadChannels = () => call('GET', '/channels');

export function Studio({ user, onLeave }) {
  const [problem, setProblem] = useState(null);
  const [chosen, setChosen] = useState(null);
  const onProblem = useCallback(
    (failed) => (failed?.status === 401 ? onLeave() : setProblem(failed?.message ?? null)),
    [onLeave],
  );
  const [channels, refresh] = usePolled(loadChannels, 5000, onProblem);
  const channel = channels?.find((one) => one.id === chosen) ?? channels?.[0];

  function added(created) {
    setChosen(created.id);
    refresh();
  }

  return (
    <div className="studio">
      <aside>
        <Brand />
        <nav aria-label="Channels">
          <h2>Channels</h2>
          {channels?.map((one) => (
            <button
              key={one.id}
              className={one.id === channel?.id ? 'channel chosen' : 'channel'}
              onClick={() => setChosen(one.id)}
            >
              <span className="avatar" style={{ '--hue': hue(one.name) }}>{one.name[0]}</span>
              <span className="name">{one.name}</span>
              <span className="count">{one.videos}</span>
            </button>
          ))}
          {channels?.length === 0 && <p className="quiet">None yet. Make the first one below.</p>}
        </nav>
        <NewChannel onAdded={added} />
        <footer>
          <span className="who" title={user.email}>{user.email}</span>
          <button className="plain" onClick={onLeave}>Log out</button>
        </footer>
      </aside>
      <main>
        {problem && <p className="problem banner" role="alert">{problem}</p>}
        <Figures onProblem={onProblem} />
        {channel && (
          <Channel key={channel.id} channel={channel} onProblem={onProblem} onChange={refresh} />
        )}
        {channels?.length === 0 && (
          <section className="empty">
            <h1>Start your first channel</h1>
            <p className="quiet">Give it a name on the left, then queue a video for it.</p>
          </section>
        )}
      </main>
    </div>
  );
}

function hue(name) {
  return [...name].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 360, 7);
}
