"""A Flask app as gunicorn would serve it: `gunicorn office:app`."""

from flask import Flask, request, url_for

app = Flask(__name__)


@app.get("/")
def index() -> str:
    return f'<a href="{url_for("letter", name="world")}">a letter</a>'


@app.route("/letter/<name>", methods=["GET", "POST"])
def letter(name: str) -> str:
    return f"Dear {name}, {request.get_data(as_text=True)}"
