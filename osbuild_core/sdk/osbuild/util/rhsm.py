"""The client certificates of a machine's Red Hat subscription."""

import configparser
import glob
import os
import re

_AUTHORITY = "/etc/rhsm/ca/redhat-uep.pem"


class Subscriptions:
    """Where the certificates are: by repository, and a pair for everything else."""

    def __init__(self, repositories=(), fallback=None):
        self.repositories = list(repositories)
        self.fallback = fallback

    @classmethod
    def from_host_system(cls, root="/"):
        """Read what subscription-manager has written below ``root``."""
        path = os.path.join(root, "etc/yum.repos.d/redhat.repo")
        parser = configparser.ConfigParser(interpolation=None)
        parser.read(path)
        found = []
        for section in parser.sections():
            values = parser[section]
            if "baseurl" in values and "sslclientkey" in values and "sslclientcert" in values:
                found.append((_pattern(values["baseurl"]), _secrets(values)))
        return cls(found, _entitlement(root))

    def secrets_for(self, url):
        """Return {"key", "cert", "cacert"} for ``url``. Raises ValueError where there is nothing for it."""
        for pattern, secrets in self.repositories:
            if pattern.match(url):
                return secrets
        if self.fallback is None:
            raise ValueError("this machine has no subscription for the URL")
        return self.fallback

    def get_secrets(self, urls):
        """Return {"ssl_client_key", "ssl_client_cert", "ssl_ca_cert"} for ``urls``, one or a list.

        The first that there is something for counts. Raises RuntimeError where there is nothing for any.
        """
        for url in [urls] if isinstance(urls, str) else urls:
            try:
                found = self.secrets_for(url)
            except ValueError:
                continue
            return {
                "ssl_client_key": found["key"],
                "ssl_client_cert": found["cert"],
                "ssl_ca_cert": found.get("cacert", _AUTHORITY),
            }
        raise RuntimeError("this machine has no subscription for {}".format(urls))

    @staticmethod
    def get_consumer_secrets(root="/"):
        """Return {"consumer_key", "consumer_cert"}, by which this machine is known. Raises RuntimeError."""
        paths = [os.path.join(root, "etc/pki/consumer", name) for name in ("key.pem", "cert.pem")]
        if not all(os.path.exists(path) for path in paths):
            raise RuntimeError("this machine has no consumer certificate, is it registered?")
        return {"consumer_key": paths[0], "consumer_cert": paths[1]}


def _secrets(values):
    secrets = {"key": values["sslclientkey"], "cert": values["sslclientcert"]}
    if values.get("sslcacert"):
        secrets["cacert"] = values["sslcacert"]
    return secrets


def _pattern(baseurl):
    # Variables such as $releasever stand for one part of the path.
    parts = re.split(r"\$\w+", baseurl.rstrip("/"))
    return re.compile("[^/]+".join(re.escape(part) for part in parts) + "/")


def _entitlement(root):
    authority = os.path.join(root, _AUTHORITY.lstrip("/"))
    for key in sorted(glob.glob(os.path.join(root, "etc/pki/entitlement/*-key.pem"))):
        cert = key[: -len("-key.pem")] + ".pem"
        if os.path.exists(cert):
            secrets = {"key": key, "cert": cert}
            if os.path.exists(authority):
                secrets["cacert"] = authority
            return secrets
    return None
