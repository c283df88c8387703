create type mood as enum ('sad', 'ok', 'happy');
create table author (
    id bigint generated always as identity primary key,
    name text not null unique,
    mood mood not null default 'ok',
    born date,
    settings jsonb not null default '{}',
    tags text[] not null default '{}',
    made timestamptz not null default now()
);
create table book (
    id uuid primary key default gen_random_uuid(),
    author_id bigint not null references author on delete cascade,
    title varchar(100) not null,
    price numeric(10, 2),
    unique (author_id, title)
);
