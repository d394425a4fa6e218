"""``driver: http``: any provider on HTTP, described in YAML instead of code.

A provider that takes a GET request and answers ``OK 17`` needs ten lines:

    providers:
      main:
        driver: http
        user: corp
        password_file: main.password
        describe:
          url: https://sms.example.net
          send: {path: /send, query: {login: "{user}", pwd: "{password}", to: "{destination}", text: "{text}"}}
          taken: {match: "^OK", id_match: '^OK (\\d+)'}
          errors: [{match: "no money", fate: stop}]

``config/providers`` holds the ready descriptions (``preset: twilio``) and the reference of every key.
"""
