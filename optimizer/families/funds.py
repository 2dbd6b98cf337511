"""The families of money: prices of funded groups, lots, cash."""

import numpy as np

from optimizer.arrays import Floats, Ints
from optimizer.expiry import worth_of_lots
from optimizer.families.draft import Draft, every
from optimizer.model import INFINITY, Block
from optimizer.problem import LotSpec
from suanwang.units import FEN_PER_YUAN


def pay(draft: Draft) -> None:
    """Money of tenants whose money could run short, or would expire: see ``Funds``."""
    scarce = _scarce_tenants(draft) | _expiring_tenants(draft)
    columns, instance = draft.columns, draft.instance
    classes = instance.classes
    groups = [
        f
        for f, funding in enumerate(columns.fundings)
        if classes[funding.klass].spec.tenant_id in scarce
    ]
    if not groups:
        return
    group_at = np.full(len(columns.fundings), -1, dtype=np.int64)
    group_at[groups] = np.arange(len(groups))
    of_column = group_at[columns.funding]
    paid = np.flatnonzero(of_column >= 0)
    price_yuan = columns.price_fen[paid] / FEN_PER_YUAN
    price_max = np.zeros(len(groups))
    np.maximum.at(price_max, of_column[paid], price_yuan)
    count = np.array([classes[columns.fundings[f].klass].count for f in groups])
    price = draft.builder.add_variables("price", upper=count * price_max)
    funds = _Funds(draft, groups, price, {lot.id: lot for lot in instance.problem.lots})
    funds.sum_price(paid, of_column[paid], price_yuan)
    funds.limit_shares()
    funds.limit_lots()
    funds.limit_cash(sorted(scarce))
    funds.limit_cash_of_a_job(paid, of_column[paid], price_yuan)


class _Funds:
    """The money families over funded groups f and lots l; amounts in yuan.

    Each is a relaxation of the exact split in ``money`` (shares are floored there), so the bound
    stays a bound.
    """

    def __init__(
        self, draft: Draft, groups: list[int], price: Block, lots: dict[str, LotSpec]
    ) -> None:
        self._draft, self._builder, self._price = draft, draft.builder, price
        self._tenant_of = [
            draft.instance.classes[draft.columns.fundings[f].klass].spec.tenant_id for f in groups
        ]
        self._cash_max = [
            draft.instance.classes[draft.columns.fundings[f].klass].spec.cash_fen_max
            for f in groups
        ]
        draws = [
            (at, lots[lot_id])
            for at, f in enumerate(groups)
            for lot_id in draft.columns.fundings[f].lots
        ]
        self._group = np.array([at for at, _ in draws], dtype=np.int64)
        self._lots = [lot for _, lot in draws]
        available = np.array([lot.available_fen for lot in self._lots], dtype=np.float64)
        # Twice what there is: then the row of the lot is what binds, and carries its price.
        worth = worth_of_lots(draft.instance.problem)
        gain = np.array([FEN_PER_YUAN * worth.get(lot.id, 0.0) for lot in self._lots])
        self._voucher = self._builder.add_variables(
            "voucher", upper=2 * available / FEN_PER_YUAN, cost=-gain
        )

    def sum_price(self, paid: Ints, group: Ints, price_yuan: Floats) -> None:
        """For every group f:  price[f]  =  sum over its columns of price * start."""
        rows = self._builder.add_rows("sum_price", self._price.count, lower=0.0, upper=0.0)
        self._builder.add_entries(every(rows), every(self._price), 1.0)
        self._builder.add_entries(rows.first + group, self._draft.start.first + paid, -price_yuan)

    def limit_shares(self) -> None:
        """For every f, l:  voucher[f,l]  <=  ratio[l] * price[f];  sum over l  <=  price[f]."""
        ratio = np.array([lot.ratio_num / lot.ratio_den for lot in self._lots])
        rows = self._builder.add_rows("share", len(ratio), lower=-INFINITY, upper=0.0)
        self._builder.add_entries(every(rows), every(self._voucher), 1.0)
        self._builder.add_entries(every(rows), self._price.first + self._group, -ratio)
        whole = self._builder.add_rows("whole", self._price.count, lower=-INFINITY, upper=0.0)
        self._builder.add_entries(whole.first + self._group, every(self._voucher), 1.0)
        self._builder.add_entries(every(whole), every(self._price), -1.0)

    def limit_lots(self) -> None:
        """For every lot l:  sum over f of voucher[f,l]  <=  available[l]."""
        ids = sorted({lot.id for lot in self._lots})
        row_of = {lot_id: at for at, lot_id in enumerate(ids)}
        available = {lot.id: lot.available_fen / FEN_PER_YUAN for lot in self._lots}
        upper = np.array([available[lot_id] for lot_id in ids])
        rows = self._builder.add_rows("lot", len(ids), lower=-INFINITY, upper=upper)
        self._draft.row_of.update({f"lot:{lot}": rows.first + at for lot, at in row_of.items()})
        where = np.array([row_of[lot.id] for lot in self._lots], dtype=np.int64)
        self._builder.add_entries(rows.first + where, every(self._voucher), 1.0)

    def limit_cash(self, tenants: list[str]) -> None:
        """For every tenant:  sum over its f of price[f] - sum over l of voucher[f,l]  <=  cash."""
        cash_fen = self._draft.instance.problem.cash_fen
        upper = np.array([max(0, cash_fen.get(tenant, 0)) / FEN_PER_YUAN for tenant in tenants])
        rows = self._builder.add_rows("cash", len(tenants), lower=-INFINITY, upper=upper)
        row_of = {tenant: at for at, tenant in enumerate(tenants)}
        self._draft.row_of.update({f"cash:{name}": rows.first + at for name, at in row_of.items()})
        of_group = np.array([row_of[tenant] for tenant in self._tenant_of], dtype=np.int64)
        self._builder.add_entries(rows.first + of_group, every(self._price), 1.0)
        self._builder.add_entries(rows.first + of_group[self._group], every(self._voucher), -1.0)

    def limit_cash_of_a_job(self, paid: Ints, group: Ints, price_yuan: Floats) -> None:
        """For every f with a limit:  sum of (price - cash_max) * start - vouchers of f  <=  0."""
        limits = [at for at, cash_max in enumerate(self._cash_max) if cash_max is not None]
        row_of = np.full(self._price.count, -1, dtype=np.int64)
        row_of[limits] = np.arange(len(limits))
        rows = self._builder.add_rows("cash_of_job", len(limits), lower=-INFINITY, upper=0.0)
        cash_max = np.array([(fen or 0) / FEN_PER_YUAN for fen in self._cash_max])
        own = row_of[group] >= 0
        self._builder.add_entries(
            rows.first + row_of[group[own]],
            self._draft.start.first + paid[own],
            price_yuan[own] - cash_max[group[own]],
        )
        drawn = row_of[self._group] >= 0
        self._builder.add_entries(
            rows.first + row_of[self._group[drawn]], every(self._voucher)[drawn], -1.0
        )


def _expiring_tenants(draft: Draft) -> set[str]:
    """Tenants with a lot that ends within the horizon: using it is worth something."""
    worth = worth_of_lots(draft.instance.problem)
    return {lot.tenant_id for lot in draft.instance.problem.lots if lot.id in worth}


def _scarce_tenants(draft: Draft) -> set[str]:
    """Tenants whose cash might not cover all their jobs at their dearest, or who limit it a job."""
    columns, classes = draft.columns, draft.instance.classes
    dearest = np.zeros(len(classes), dtype=np.int64)
    np.maximum.at(dearest, columns.klass, columns.price_fen)
    needed: dict[str, int] = {}
    scarce: set[str] = set()
    for k, klass in enumerate(classes):
        tenant = klass.spec.tenant_id
        needed[tenant] = needed.get(tenant, 0) + klass.count * int(dearest[k])
        if klass.spec.cash_fen_max is not None and dearest[k] > klass.spec.cash_fen_max:
            scarce.add(tenant)
    cash_fen = draft.instance.problem.cash_fen
    return scarce | {
        tenant for tenant, amount in needed.items() if amount > cash_fen.get(tenant, 0)
    }
