from .autoencoder import Autoencoder as Autoencoder
from .conditional import ConditionalAutoencoder as ConditionalAutoencoder
from .convolutional import ConvolutionalAutoencoder as ConvolutionalAutoencoder
from .denoising import DenoisingAutoencoder as DenoisingAutoencoder
from .seq2seq import Seq2SeqAutoencoder as Seq2SeqAutoencoder
from .sparse import SparseAutoencoder as SparseAutoencoder
