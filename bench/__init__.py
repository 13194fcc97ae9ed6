"""How fast is it, compared with what others are content with?"""

from pathlib import Path

#: Where programs are started, so that they find what is here and the agent, installed or not.
ROOT = Path(__file__).resolve().parents[1]
