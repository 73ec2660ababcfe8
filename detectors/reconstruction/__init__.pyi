from .pca import PCA as PCA
from .pca import principal_components as principal_components
