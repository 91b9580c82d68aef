# The official image of PostgreSQL with the extension, preloaded.  CREATE EXTENSION
# jobs is left to you.
#
#   docker build --build-arg PG_MAJOR=17 -t postgres-jobs .
#   docker run -e POSTGRES_PASSWORD=secret -p 5432:5432 postgres-jobs

ARG PG_MAJOR=17

FROM postgres:${PG_MAJOR}-bookworm AS build
ARG PG_MAJOR
RUN apt-get update \
	&& apt-get install -y --no-install-recommends gcc libc6-dev make pkg-config "postgresql-server-dev-${PG_MAJOR}" \
		libcsv-dev libcurl4-openssl-dev libisal-dev libpango1.0-dev libpq-dev libssl-dev libxlsxwriter-dev zlib1g-dev \
	&& rm -rf /var/lib/apt/lists/*
WORKDIR /jobs
COPY Makefile META.json jobs.control jobs.psql ./
COPY sql sql
COPY src src
RUN make -j "$(nproc)" && make install DESTDIR=/installed

FROM postgres:${PG_MAJOR}-bookworm
RUN apt-get update \
	&& apt-get install -y --no-install-recommends ca-certificates libcsv3 libcurl4 libisal2 libpangocairo-1.0-0 libssl3 libxlsxwriter4 \
		fonts-dejavu-core fonts-noto-core \
	&& rm -rf /var/lib/apt/lists/* \
	&& echo "shared_preload_libraries = 'jobs'" >>/usr/share/postgresql/postgresql.conf.sample
COPY --from=build /installed /
