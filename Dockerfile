FROM python:3.12-slim
ENV PYTHONSAFEPATH=1 PYTHONUNBUFFERED=1
WORKDIR /app
COPY requirements.lock ./
RUN pip install --no-cache-dir --require-hashes --no-deps -r requirements.lock
COPY . .
RUN pip install --no-cache-dir --no-deps --no-build-isolation .
RUN useradd --create-home ytempire && mkdir /data && chown ytempire /data
USER ytempire
ENV YTEMPIRE_DATA_DIR=/data
ENTRYPOINT ["ytempire"]
