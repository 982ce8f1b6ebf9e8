FROM node:20-bookworm-slim AS page
WORKDIR /page
COPY web/package.json web/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY web/ ./
RUN npm run build

FROM python:3.11-slim-bookworm
RUN useradd --create-home --uid 1000 patrol && mkdir /data && chown patrol /data
WORKDIR /app
COPY requirements.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements.lock
COPY . .
COPY --from=page /page/dist web/dist
RUN pip install --no-cache-dir --no-deps --editable .
USER patrol
VOLUME /data
EXPOSE 8000
CMD ["patrol", "serve", "--host", "0.0.0.0"]
