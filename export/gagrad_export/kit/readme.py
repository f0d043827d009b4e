"""README.txt of a kit, for the technician who installs it, in English or Japanese."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gagrad_edge.kit import Kit
    from gagrad_edge.trust.keys import PublicKey

_README = {
    "en": """{product} {version} for {platform}
gagrad-edge {gagrad_edge}, packed {created}

Install (no network is needed):
    sudo sh install.sh

To look first, or without root:
    sh install.sh --help
    sh install.sh --prefix "$HOME/gagrad-edge"

It checks every file, installs the program beside the one that is there, runs the model's self-test, and
only then puts the new version in use and starts the service gagrad-edge-watch. If anything fails, or the
power goes, the version before stays in use: run it again. To go back by hand:
    sudo sh install.sh --rollback

Settings   /etc/gagrad-edge/station.toml   what is watched; written once, then yours
           /etc/gagrad-edge/trust.toml     whose models it runs; written once, then yours
Results    /var/lib/gagrad-edge/results
Log        journalctl -u gagrad-edge-watch

Needs: {machine}, Python {python}, glibc {glibc} or newer.
What is in it: sbom.cdx.json. {signed}
""",
    "ja": """{product} {version}（{platform} 用）
gagrad-edge {gagrad_edge}、作成 {created}

インストール（ネットワークは不要です）:
    sudo sh install.sh

事前に内容を確認する場合、または root 権限なしで入れる場合:
    sh install.sh --help
    sh install.sh --prefix "$HOME/gagrad-edge"

すべてのファイルを検査し、今のプログラムとは別の場所に新しいプログラムを入れ、モデルの自己診断を実行します。
すべて合格したときだけ新しい版に切り替え、サービス gagrad-edge-watch を開始します。途中で失敗したり
電源が切れたりした場合は前の版のまま動きます。もう一度実行してください。手動で前の版に戻すには:
    sudo sh install.sh --rollback

設定   /etc/gagrad-edge/station.toml   監視の対象など。初回だけ書き込み、以後は変更しません
       /etc/gagrad-edge/trust.toml     実行を許すモデルの署名者。初回だけ書き込み、以後は変更しません
結果   /var/lib/gagrad-edge/results
ログ   journalctl -u gagrad-edge-watch

画像を日本語にするには、station.toml に language = "ja" と書きます。

必要なもの: {machine}、Python {python}、glibc {glibc} 以降
内容の一覧: sbom.cdx.json。{signed}
""",
}
_SIGNED = {"en": "The kit is signed by {keys}.", "ja": "このキットには {keys} の署名があります。"}
_UNSIGNED = {"en": "The kit is not signed.", "ja": "このキットには署名がありません。"}
LANGUAGES = tuple(_README)
"""Languages of the text."""


def readme(kit: Kit, signers: Sequence[PublicKey], language: str = "en") -> str:
    """Return the text of ``README.txt`` in ``language``, one of ``LANGUAGES``."""
    signed = _UNSIGNED[language]
    if signers:
        signed = _SIGNED[language].format(keys=", ".join(key.id[:16] for key in signers))
    fields = {name: value for name, value in vars(kit).items() if isinstance(value, str | int)}
    return _README[language].format(**fields, signed=signed)
