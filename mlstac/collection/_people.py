"""Who made the dataset, and who answers for it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from mlstac.collection._base import Model, in_document, shorten
from mlstac.collection._links import Link


class Phone(Model):
    """A telephone number of a contact."""

    value: str = Field(pattern=r"^\+[1-9]{1}[0-9]{3,14}$")
    """The number with its country, digits only: ``+34123456789``."""

    roles: list[str] = Field(default_factory=list)
    """What the number is for: work, home, fax …"""


class Email(Model):
    """An e-mail address of a contact."""

    value: str = Field(pattern=r"^[^@\s]+@[^@\s]+$")
    """The address."""

    roles: list[str] = Field(default_factory=list)
    """What the address is for: work, home …"""


class Address(Model):
    """A postal address of a contact."""

    deliveryPoint: list[str] = Field(default_factory=list)  # noqa: N815  the extension's own word
    """Lines of the address: street, number, building."""

    city: str | None = None
    """City."""

    administrativeArea: str | None = None  # noqa: N815  the extension's own word
    """State or province."""

    postalCode: str | None = None  # noqa: N815  the extension's own word
    """Postal code."""

    country: str | None = None
    """Country, as ISO 3166-1 or in words."""

    roles: list[str] = Field(default_factory=list)
    """What the address is for."""


class Contact(Model):
    """A person or organisation that stands behind the dataset.

    References
    ----------
    STAC contacts extension v0.1.1.
    """

    name: str = Field(min_length=1)
    """Name of the person; for an organisation without a person, the organisation's."""

    organization: str | None = None
    """Organisation that the person works for."""

    identifier: str | None = None
    """A lasting identifier, such as an ORCID URL."""

    position: str | None = None
    """Role or position in the organisation."""

    logo: Link | None = None
    """Link to a picture of the contact, with rel ``icon`` and a type."""

    phones: list[Phone] = Field(default_factory=list)
    """Telephone numbers."""

    emails: list[Email] = Field(default_factory=list)
    """E-mail addresses."""

    addresses: list[Address] = Field(default_factory=list)
    """Postal addresses."""

    links: list[Link] = Field(default_factory=list)
    """On-line pages about the contact, each with a type."""

    contactInstructions: list[str] = Field(default_factory=list)  # noqa: N815  the extension's own word
    """How and when to reach the contact."""

    roles: list[str] = Field(default_factory=list)
    """What the contact did: ``author``, ``curator``, ``reviewer``, or another word."""

    @field_validator("phones", "emails", mode="before")
    @classmethod
    def _plain_text(cls, value: Any, info: ValidationInfo) -> Any:
        if in_document(info):
            return value
        values = [value] if isinstance(value, str) else value
        return (
            [{"value": item} if isinstance(item, str) else item for item in values]
            if isinstance(values, list)
            else value
        )

    @model_validator(mode="after")
    def _typed_links(self) -> Contact:
        for link in self.links:
            if link.type is None:
                raise ValueError(f"the link to {shorten(link.href)} has no type; add one, such as 'text/html'")
        if self.logo is not None and (self.logo.rel != "icon" or self.logo.type is None):
            raise ValueError("the logo is a link with rel 'icon' and a type, such as 'image/png'; set both")
        return self


class Provider(Model):
    """An organisation that captured, processed, licensed or hosts the data."""

    name: str = Field(min_length=1)
    """Name of the organisation."""

    description: str | None = None
    """What the organisation did."""

    roles: list[Literal["producer", "licensor", "processor", "host"]] = Field(default_factory=list)
    """What the organisation is to the data."""

    url: str | None = None
    """Home page of the organisation."""
