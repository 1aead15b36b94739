"""Models of the bank's projections."""

from django.db import models
from django.utils.functional import cached_property


class Balance(models.Model):
    """What is on each account."""

    number = models.CharField(max_length=30, primary_key=True)
    owner = models.CharField(max_length=100)
    balance = models.DecimalField(max_digits=20, decimal_places=2, default=0)
    movements = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return self.number


class Branch(models.Model):
    """What each owner has at each branch: a key of two fields and a surrogate primary key."""

    branch = models.CharField(max_length=30)
    owner = models.CharField(max_length=100)
    accounts = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("branch", "owner"), name="bank_branch_owner"),
        )

    def __str__(self) -> str:
        return f"{self.branch}: {self.owner}"


class BusyBranch(Branch):
    """The same rows, of which a manager shows some, under another name."""

    class Busy(models.Manager):
        def get_queryset(self):
            return super().get_queryset().filter(accounts__gt=1)

    objects = Busy()

    class Meta:
        proxy = True

    def __str__(self) -> str:
        return self.branch


class AuditLine(models.Model):
    """One line for every event."""

    text = models.CharField(max_length=200)
    position = models.BigIntegerField()

    def __str__(self) -> str:
        return self.text


class Sample(models.Model):
    """A field of every kind that databases treat in their own ways."""

    number = models.CharField(max_length=30, primary_key=True)
    trace = models.TextField(default="")
    text = models.CharField(max_length=10, default="-")
    amount = models.DecimalField(max_digits=8, decimal_places=2, default=0)
    long_amount = models.DecimalField(max_digits=30, decimal_places=8, default=1)
    real = models.FloatField(default=0.5)
    count = models.PositiveSmallIntegerField(default=0)
    big = models.BigIntegerField(null=True)
    flag = models.BooleanField(default=False)
    at = models.DateTimeField(null=True)
    day = models.DateField(null=True)
    clock = models.TimeField(null=True)
    span = models.DurationField(null=True)
    data = models.JSONField(default=dict)
    token = models.UUIDField(null=True)
    blob = models.BinaryField(null=True)
    code = models.IntegerField(null=True, unique=True)

    def __str__(self) -> str:
        return self.number


class Unlost(models.Manager):
    """Hides what is lost."""

    def get_queryset(self):
        return super().get_queryset().exclude(state="lost")


class Parcel(models.Model):
    """A row with more than fields, and managers that hide some rows."""

    kind = "parcel"

    number = models.CharField(max_length=30, primary_key=True)
    state = models.CharField(max_length=30, default="there")
    weight = models.IntegerField(default=0)
    inside = models.ForeignKey(
        "self", null=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="contents"
    )

    objects = Unlost()

    class Meta:
        base_manager_name = "objects"

    def __str__(self) -> str:
        return self.number

    @property
    def grams(self) -> int:
        return self.weight * 1000

    @grams.setter
    def grams(self, grams: int) -> None:
        self.weight = grams // 1000

    @cached_property
    def label(self) -> str:
        return f"{self.number}: {self.weight}"


class Holder(models.Model):
    """A row with an automatic key; its alias, in a group, is its own."""

    number = models.CharField(max_length=30, unique=True)
    group = models.CharField(max_length=30, default="")
    alias = models.CharField(max_length=30, null=True)  # noqa: DJ001
    made_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)
    level = models.IntegerField(db_default=7)
    doubled = models.GeneratedField(
        expression=models.F("level") * 2, output_field=models.IntegerField(), db_persist=True
    )

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("group", "alias"), name="bank_holder_alias"),
        )

    def __str__(self) -> str:
        return self.number


class Card(models.Model):
    """A row that points to that of another projection, which may come later or be gone."""

    number = models.CharField(max_length=30, primary_key=True)
    account = models.ForeignKey(
        Balance, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+"
    )
    uses = models.IntegerField(default=0)

    def __str__(self) -> str:
        return self.number


class Seat(models.Model):
    """A key of two fields, one of them a foreign key."""

    pk = models.CompositePrimaryKey("card", "row")
    card = models.ForeignKey(
        Card, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+"
    )
    row = models.IntegerField()
    taken = models.IntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.card_id}: {self.row}"


class Customer(models.Model):
    """An owner of accounts: known by name, with a surrogate primary key."""

    name = models.CharField(max_length=100, unique=True)
    accounts = models.PositiveIntegerField(default=0)

    class Meta:
        indexes = (models.Index(fields=("accounts", "name"), name="bank_customer_accounts"),)

    def __str__(self) -> str:
        return self.name


class Holding(models.Model):
    """An account and the customer that it belongs to: a foreign key between projected models."""

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="holdings")
    number = models.CharField(max_length=30)
    balance = models.DecimalField(max_digits=20, decimal_places=2, default=0)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("customer", "number"), name="bank_holding_unique"),
            models.CheckConstraint(
                condition=models.Q(balance__gte=0), name="bank_holding_positive"
            ),
        )

    def __str__(self) -> str:
        return self.number


class Login(models.Model):
    """Who signs in with which e-mail address: no two people with the same."""

    person = models.CharField(max_length=30, primary_key=True)
    email = models.EmailField(unique=True)

    def __str__(self) -> str:
        return self.email
