"""What happens between a person's browser and Identity Center?

/authorize, where the browser comes from a program on the same machine and goes back to it, and /device, where it
comes from nowhere. Both end with somebody saying who they are, and yes or no.
"""

from urllib.parse import parse_qsl, urlsplit

from agent.sandbox.centers import IdentityCenter
from agent.sandbox.cloud import Cloud
from agent.sandbox.identity_center.authorization import Authorizations, Misdirected, Pending, Returned
from agent.sandbox.identity_center.device import Device, Devices
from agent.sandbox.identity_center.forms import Forms
from agent.sandbox.identity_center.pages import code_page, consent_page, done_page, page, refusal_page, sent_to
from agent.sandbox.wire import Reply, Wire


class Browser:
    """The pages."""

    def __init__(self, cloud: Cloud, authorizations: Authorizations, devices: Devices) -> None:
        self._authorizations = authorizations
        self._devices = devices
        self._forms = Forms(cloud)

    def answer(self, center: IdentityCenter, wire: Wire) -> Reply:
        """Show a page, or take in what somebody decided on it."""
        pages = {"/authorize": (self._authorize, self._authorized), "/device": (self._device, self._decided)}
        show, decide = pages[wire.path]
        match wire.method:
            case "GET" | "HEAD":
                return show(center, wire)
            case "POST":
                return decide(center, wire)
        return page("There is nothing to see", "<p>This page is looked at, or its form is sent.</p>", status=405)

    def _authorize(self, center: IdentityCenter, wire: Wire) -> Reply:
        try:
            pending = self._authorizations.ask(wire.query_pairs)
        except Misdirected as misdirected:
            return refusal_page(str(misdirected))
        except Returned as returned:
            return sent_to(returned.url)
        browser = self._forms.browser(wire)
        return consent_page(
            "/authorize",
            pending.client.name,
            [one.name for one in center.users],
            {"request": pending.id, "seal": self._forms.seal(browser, pending.id)},
            leads_to=_origin(pending),
            cookie=self._forms.cookie(browser),
        )

    def _authorized(self, center: IdentityCenter, wire: Wire) -> Reply:
        form = _form(wire)
        id_ = form.get("request", "")
        if not self._forms.is_ours(wire, id_, form.get("seal", "")):
            return _forged()
        pending = self._authorizations.pending(id_)
        if pending is None:
            return refusal_page("This was decided already, or too long ago. Start again where you came from.")
        if form.get("decision") != "allow":
            return sent_to(self._authorizations.deny(pending))
        user = center.user(form.get("user", ""))
        if user is None:
            return refusal_page("There is no such user. Go back, and choose one.")
        return sent_to(self._authorizations.allow(center, pending, user.name))

    def _device(self, center: IdentityCenter, wire: Wire) -> Reply:
        entered = dict(wire.query_pairs).get("user_code", "")
        device = self._devices.by_user_code(entered) if entered else None
        if device is None:
            return code_page(entered)
        browser = self._forms.browser(wire)
        return consent_page(
            "/device",
            device.client.name,
            [one.name for one in center.users],
            {"user_code": device.user_code, "seal": self._forms.seal(browser, _about(device))},
            user_code=device.user_code,
            cookie=self._forms.cookie(browser),
        )

    def _decided(self, center: IdentityCenter, wire: Wire) -> Reply:
        form = _form(wire)
        device = self._devices.by_user_code(form.get("user_code", ""))
        if device is None:
            return refusal_page("This was decided already, or too long ago. Start again at your device.")
        if not self._forms.is_ours(wire, _about(device), form.get("seal", "")):
            return _forged()
        if form.get("decision") != "allow":
            self._devices.deny(device)
            return done_page("Request denied")
        user = center.user(form.get("user", ""))
        if user is None:
            return refusal_page("There is no such user. Go back, and choose one.")
        self._devices.allow(center, device, user.name)
        return done_page("Request approved")


def _about(device: Device) -> str:
    return f"device {device.user_code}"


def _origin(pending: Pending) -> str:
    parts = urlsplit(pending.redirect_uri)
    return f"{parts.scheme}://{parts.netloc}"


def _form(wire: Wire) -> dict[str, str]:
    """The fields of a form; none of what is no form."""
    return dict(parse_qsl(wire.body.decode("utf-8", "replace"), keep_blank_values=True)) if wire.is_form else {}


def _forged() -> Reply:
    said = "<p>This form was not shown to this browser by this page. Start again where you came from.</p>"
    return page("This cannot be answered", said, status=403)
